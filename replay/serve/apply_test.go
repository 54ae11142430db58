package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// wants checks the kind of a problem and some of its words.
func wants(t *testing.T, err error, kind problem.Kind, words string) *problem.Error {
	t.Helper()
	p, ok := problem.Of(err)
	if !ok || p.Kind != kind || !strings.Contains(p.What, words) {
		t.Fatalf("got %v, want %s with %q", err, kind, words)
	}
	return p
}

func pack(t *testing.T, plain []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(plain, nil)
}

// A range arrives as it was sent: in one part, in many, packed.
func TestApplyRange(t *testing.T) {
	w := start(t, Options{})
	content := oneSlice(t, 3)
	packed := pack(t, content)
	zipped := header(packed)
	zipped.Encoding, zipped.PlainSize = replaypb.Header_ZSTD, uint64(len(content))
	for name, send := range map[string]struct {
		h     *replaypb.Header
		parts [][]byte
	}{
		"one part":    {header(content), [][]byte{content}},
		"three parts": {header(content), [][]byte{nil, content[:5], content[5:]}},
		"packed":      {zipped, [][]byte{packed[:7], packed[7:]}},
		"empty end":   {header(content), [][]byte{content, nil}},
	} {
		w.target.replayed = nil
		resp, err := w.apply(send.h, send.parts...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.Applied != 3 || resp.Skipped != 1 || resp.Conflicts != 2 || !proto.Equal(resp.Reached, cursor(9, store.AllDone)) {
			t.Errorf("%s: answer %v", name, resp)
		}
		if len(w.target.replayed) != 1 {
			t.Fatalf("%s: %d ranges", name, len(w.target.replayed))
		}
		checkRange(t, name, &w.target.replayed[0])
	}
	m := w.server.Metrics()
	if m.Ranges.Load() != 4 || m.Applied.Load() != 12 || m.Plain.Load() != 4*uint64(len(content)) || m.Bytes.Load() != uint64(3*len(content)+len(packed)) {
		t.Errorf("metrics: %d ranges, %d applied, %d of %d bytes", m.Ranges.Load(), m.Applied.Load(), m.Bytes.Load(), m.Plain.Load())
	}
}

func checkRange(t *testing.T, name string, r *partition.Range) {
	t.Helper()
	if r.Sender != (store.SenderID{Cluster: "dc-a", Namespace: "default", Partition: 3}) || r.Time != 2000 || r.Names.ID(1) != "dc-a" ||
		r.From != cursorOf(cursor(8, store.AllDone)) || r.To != cursorOf(cursor(9, store.AllDone)) {
		t.Errorf("%s: range %+v", name, r)
	}
	if len(r.Slices) != 1 || r.Slices[0].Position != (event.Position{Term: 2, Index: 9}) || len(r.Slices[0].Event.Mutations) != 3 {
		t.Fatalf("%s: slices %+v", name, r.Slices)
	}
	for i, m := range r.Slices[0].Event.Mutations {
		if string(m.Key) != fmt.Sprint("k", i) || m.Version != (event.Version{Time: 1000 + int64(i), Cluster: 1}) || m.Command != "set" {
			t.Errorf("%s: mutation %d: %+v", name, i, m)
		}
	}
}

// A range without slices moves the place.
func TestApplyNothing(t *testing.T) {
	w := start(t, Options{})
	if _, err := w.apply(header(nil), nil); err != nil {
		t.Fatal(err)
	}
	if len(w.target.replayed) != 1 || len(w.target.replayed[0].Slices) != 0 {
		t.Errorf("%+v", w.target.replayed)
	}
}

// Rows of a chunk keep their elements, whatever comes after them.
func TestApplyChunk(t *testing.T) {
	w := start(t, Options{})
	var c replaypb.Chunk
	for i := range 50 {
		m := event.Mutation{Op: event.OpHSet, Type: event.TypeHash, Key: fmt.Appendf(nil, "h%d", i), Whole: true, Version: event.Version{Time: 5, Cluster: 1}}
		for f := range 20 {
			m.Elements = append(m.Elements, event.Element{Sub: fmt.Appendf(nil, "f%d", f), Value: fmt.Appendf(nil, "%d-%d", i, f), Prev: event.Version{Time: 4, Cluster: 1}})
		}
		c.Events = append(c.Events, event.Append(nil, &event.Event{Time: 9, Mutations: []event.Mutation{m}}))
	}
	content, err := proto.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	h := header(content)
	h.Covers = &replaypb.Header_Chunk{Chunk: &replaypb.ChunkHeader{Base: cursor(9, 0).Position, After: []byte("a"), Through: []byte("z"), Part: 3}}
	resp, err := w.apply(h, content)
	if err != nil || resp.Applied != 50 || string(resp.Through) != "z" || resp.Part != 4 {
		t.Fatalf("%v, %v", resp, err)
	}
	got := w.target.chunks[0]
	if got.Base != (event.Position{Term: 2, Index: 9}) || string(got.After) != "a" || string(got.Through) != "z" || got.Part != 3 || got.End {
		t.Errorf("%+v", got)
	}
	for i, m := range got.Rows {
		for f, e := range m.Elements {
			if string(m.Key) != fmt.Sprint("h", i) || string(e.Value) != fmt.Sprintf("%d-%d", i, f) || e.Prev.Time != 4 {
				t.Fatalf("row %d, field %d: %s %+v", i, f, m.Key, e)
			}
		}
	}
}

// What can't be meant is refused with a reason, before the replica sees it.
func TestApplyMalformed(t *testing.T) {
	w := start(t, Options{MaxEventBytes: 1 << 20})
	content := oneSlice(t, 2)
	twice := oneSlice(t, 2)
	twice = append(twice, twice...)
	marshal := func(r *replaypb.Range) []byte {
		b, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	newer := event.Append(nil, &event.Event{Time: 1, Mutations: []event.Mutation{{Op: 99, Key: []byte("k")}}})
	for name, c := range map[string]struct {
		change  func(*replaypb.Header)
		content []byte
		parts   [][]byte
		kind    problem.Kind
		words   string
	}{
		"too large":      {change: func(h *replaypb.Header) { h.Size, h.PlainSize = 1<<40, 1<<40 }, words: "want at most 2228224"},
		"zstd too large": {change: func(h *replaypb.Header) { h.Encoding, h.PlainSize = replaypb.Header_ZSTD, 1<<40 }, words: "want at most"},
		"sizes":          {change: func(h *replaypb.Header) { h.PlainSize++ }, words: "of what isn't packed"},
		"less":           {parts: [][]byte{content[:9]}, words: "the header says"},
		"more":           {parts: [][]byte{content, content}, words: "over"},
		"encoding":       {change: func(h *replaypb.Header) { h.Encoding = 7 }, kind: problem.Refused, words: "upgrade"},
		"no covers":      {change: func(h *replaypb.Header) { h.Covers = nil }, words: "neither"},
		"backward":       {change: func(h *replaypb.Header) { h.GetRange().To = cursor(1, 0) }, words: "a range from"},
		"names":          {change: func(h *replaypb.Header) { h.Names = make([]string, maxNames+1) }, words: "names"},
		"bad name":       {change: func(h *replaypb.Header) { h.Names[1] = "a b" }, words: "name 1"},
		"unnamed":        {change: func(h *replaypb.Header) { h.Names = h.Names[:1] }, words: "cluster number 1 has no name"},
		"own cluster":    {change: func(h *replaypb.Header) { h.Sender.Cluster = "dc-b" }, words: "this cluster itself"},
		"cluster":        {change: func(h *replaypb.Header) { h.Sender.Cluster = "" }, words: "cluster id"},
		"namespace":      {change: func(h *replaypb.Header) { h.Sender.Namespace = "a-b" }, words: "namespace"},
		"partition":      {change: func(h *replaypb.Header) { h.Sender.Partitions = 3 }, words: "partition 3 of 3"},
		"hash":           {change: func(h *replaypb.Header) { h.Sender.Hash = "md5" }, words: "hash"},
		"garbage":        {content: bytes.Repeat([]byte{0xff}, 40), words: "malformed"},
		"no position":    {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Event: logged(1)}}}), words: "without position"},
		"no event":       {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1}}}), words: "without position or event"},
		"numbers":        {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: logged(2), Numbers: []uint32{4}}}}), words: "1 numbers for 2"},
		"falling":        {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: logged(2), Numbers: []uint32{4, 4}}}}), words: "mutation 4 after 4"},
		"event":          {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: []byte{1, 0x2a, 0x7f}}}}), words: "malformed"},
		"format":         {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: []byte{200, 1}}}}), kind: problem.Refused, words: "format"},
		"newer op":       {content: marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: newer}}}), kind: problem.Refused, words: "upgrade"},
		"no replica":     {change: func(h *replaypb.Header) { h.Partition = 1 }, kind: problem.Elsewhere, words: "10.0.0.9:1"},
		"no partition":   {change: func(h *replaypb.Header) { h.Partition = 2 }, kind: problem.Unknown, words: "default-2"},
		"no namespace":   {change: func(h *replaypb.Header) { h.Namespace = "\xff" + strings.Repeat("x", 500) }, kind: problem.Unknown, words: "dc-b"},
	} {
		t.Run(name, func(t *testing.T) {
			body := content
			if c.content != nil {
				body = c.content
			}
			h := header(body)
			if c.change != nil {
				c.change(h)
			}
			if name == "no namespace" {
				h.Namespace = strings.ToValidUTF8(h.Namespace, "?")
			}
			parts := c.parts
			if parts == nil {
				parts = [][]byte{body}
			}
			_, err := w.apply(h, parts...)
			wants(t, err, c.kind, c.words)
		})
	}
	if len(w.target.replayed) != 0 {
		t.Errorf("the replica got %d ranges", len(w.target.replayed))
	}
	_, err := w.apply(nil, content)
	wants(t, err, problem.Invalid, "no header")
	_, err = w.apply(header(twice), twice)
	if err != nil {
		t.Errorf("two slices of one event are the replica's matter: %v", err)
	}
}

// A stream that ends early, or whose later part has another header, is no call.
func TestApplyBroken(t *testing.T) {
	w := start(t, Options{})
	content := oneSlice(t, 1)
	stream, err := w.replay.Apply(w.context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&replaypb.ApplyRequest{Header: header(content), Data: content[:2]}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wants(t, err, problem.Invalid, "before its last part")
	if stream, err = w.replay.Apply(w.context()); err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&replaypb.ApplyRequest{Header: header(content), Data: content[:2]})
	_ = stream.Send(&replaypb.ApplyRequest{Header: header(content), Data: content[2:], Last: true})
	_, err = stream.CloseAndRecv()
	wants(t, err, problem.Invalid, "header in a later part")
}

// A part that is too long is refused for that, though all would fit.
func TestApplyLongPart(t *testing.T) {
	w := start(t, Options{})
	content := make([]byte, MaxPart+1)
	_, err := w.apply(header(content), content)
	wants(t, err, problem.Invalid, "a part of 4194305 bytes")
}

// What unpacks to more than the header says never gets further than that.
func TestApplyBomb(t *testing.T) {
	w := start(t, Options{})
	bomb := pack(t, make([]byte, 256<<20))
	h := header(bomb)
	h.Encoding, h.PlainSize = replaypb.Header_ZSTD, 1<<10
	_, err := w.apply(h, bomb)
	wants(t, err, problem.Invalid, "don't unpack to 1024")
	h.PlainSize = 8 << 20
	_, err = w.apply(h, bomb)
	wants(t, err, problem.Invalid, "don't unpack")
	small := pack(t, []byte("few"))
	h = header(small)
	h.Encoding, h.PlainSize = replaypb.Header_ZSTD, 1<<10
	_, err = w.apply(h, small)
	wants(t, err, problem.Invalid, "unpacked it has 3 bytes")
	h = header([]byte("no zstd"))
	h.Encoding = replaypb.Header_ZSTD
	_, err = w.apply(h, []byte("no zstd"))
	wants(t, err, problem.Invalid, "don't unpack")
}

// What decodes to far more than its bytes is refused by what it would take, before it is decoded.
func TestApplyManySmall(t *testing.T) {
	w := start(t, Options{MemoryBytes: 4 << 20})
	var ev []byte
	ev = append(ev, event.Format)
	for range 100_000 {
		ev = append(ev, 5<<3|2, 2, 1<<3, 1) // a mutation with an op alone
	}
	content, err := proto.Marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Index: 1, Event: ev}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.apply(header(content), content)
	wants(t, err, problem.Invalid, "send less at once")
}

// While the memory is taken, calls are told so soon; when it is free again they are served.
func TestApplyOverload(t *testing.T) {
	w := start(t, Options{MemoryBytes: 64 << 10, Patience: 10 * time.Millisecond})
	w.target.hold, w.target.entered = make(chan struct{}), make(chan struct{})
	content := oneSlice(t, 40)
	first := make(chan error, 1)
	go func() {
		_, err := w.apply(header(content), content)
		first <- err
	}()
	<-w.target.entered
	if used, total := w.server.Memory(); used < int64(len(content)) || total != 64<<10 {
		t.Errorf("%d of %d bytes are used", used, total)
	}
	large := make([]byte, 60<<10)
	_, err := w.apply(header(large), large)
	wants(t, err, problem.Overload, "replay: ")
	if n := w.server.Metrics().Refusals()[problem.Overload]; n != 1 {
		t.Errorf("%d overloads are counted", n)
	}
	close(w.target.hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	go func() { <-w.target.entered }()
	if _, err := w.apply(header(content), content); err != nil {
		t.Error(err)
	}
}

// More calls than there may be are turned away.
func TestApplyMaxCalls(t *testing.T) {
	w := start(t, Options{MaxCalls: 1})
	w.target.hold, w.target.entered = make(chan struct{}), make(chan struct{})
	content := oneSlice(t, 1)
	first := make(chan error, 1)
	go func() {
		_, err := w.apply(header(content), content)
		first <- err
	}()
	<-w.target.entered
	_, err := w.apply(header(content), content)
	wants(t, err, problem.Overload, "1 calls")
	close(w.target.hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// A stream that goes silent is ended, and what it held is free; so is one that drips.
func TestApplySilent(t *testing.T) {
	for name, o := range map[string]Options{
		"silent at once": {Quiet: 20 * time.Millisecond}, "silent midway": {Quiet: 20 * time.Millisecond}, "drips": {CallWithin: 30 * time.Millisecond},
	} {
		w := start(t, o)
		content := oneSlice(t, 1)
		stream, err := w.replay.Apply(w.context())
		if err != nil {
			t.Fatal(err)
		}
		if name != "silent at once" {
			if err := stream.Send(&replaypb.ApplyRequest{Header: header(content), Data: content[:1]}); err != nil {
				t.Fatal(err)
			}
		}
		for name == "drips" && stream.Send(&replaypb.ApplyRequest{}) == nil {
		}
		var got replaypb.ApplyResponse
		if err := stream.RecvMsg(&got); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
		if used, _ := w.server.Memory(); used != 0 {
			t.Errorf("%s: %d bytes are held", name, used)
		}
	}
}

// Each error of a replica has its kind; an outcome that isn't known is never a refusal.
func TestApplyRefusals(t *testing.T) {
	w := start(t, Options{})
	content := oneSlice(t, 1)
	at := store.Sender{Reached: store.Cursor{Position: event.Position{Term: 2, Index: 5}, Done: 1}, Time: 77}
	for _, c := range []struct {
		err   error
		kind  problem.Kind
		words string
	}{
		{&partition.ReplayError{Refusal: partition.RefusedGap, Sender: at, What: "it begins later"}, problem.Gap, "it begins later"},
		{&partition.ReplayError{Refusal: partition.RefusedSuperseded, Sender: at, What: "x"}, problem.Superseded, "default-0"},
		{&partition.ReplayError{Refusal: partition.RefusedNeedsSync, Sender: at, What: "x"}, problem.NeedsSync, "x"},
		{&partition.ReplayError{Refusal: partition.RefusedClock, Sender: at, OffsetMS: 600_000, What: "x"}, problem.Clock, "x"},
		{&partition.ReplayError{Refusal: partition.RefusedWaits, Sender: at, What: "x"}, problem.Waits, "x"},
		{fmt.Errorf("w: %w", &partition.ReplayError{Refusal: partition.RefusedState, Sender: at, What: "x"}), problem.Refused, "x"},
		{fmt.Errorf("w: %w", ErrMalformed), problem.Invalid, "malformed"},
		{fmt.Errorf("w: %w", partition.ErrNotLeader), problem.Elsewhere, "doesn't lead"},
		{fmt.Errorf("w: %w: %w", partition.ErrUnknownOutcome, context.Canceled), problem.Outcome, "open again"},
		{partition.ErrClosed, problem.Outcome, "closed"},
		{errors.New("the disk burns"), problem.Outcome, "the disk burns"},
	} {
		w.target.fail = c.err
		_, err := w.apply(header(content), content)
		p := wants(t, err, c.kind, c.words)
		var refused *partition.ReplayError
		if errors.As(c.err, &refused) {
			if !proto.Equal(p.Place.GetReached(), cursorPB(at.Reached)) || p.Place.Time != 77 || p.Place.Cluster != "dc-b" {
				t.Errorf("%s: place %v", c.kind, p.Place)
			}
			if p.Place.NeedsSync != (c.kind == problem.NeedsSync) || p.Offset != time.Duration(refused.OffsetMS)*time.Millisecond {
				t.Errorf("%s: %+v", c.kind, p)
			}
		}
	}
	w.target.follows = true
	_, err := w.apply(header(content), content)
	if p := wants(t, err, problem.Elsewhere, "doesn't lead"); p.Leader != "10.0.0.8:1" {
		t.Errorf("leader %q", p.Leader)
	}
}
