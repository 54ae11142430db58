package command_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// do evaluates a line and compares the reply.
func do(t *testing.T, e *commandtest.Executor, line, want string) {
	t.Helper()
	if got := string(e.Do(words(line)...)); got != want {
		t.Errorf("%s: %.200q, want %.200q", line, got, want)
	}
}

// onlyMutation gives the mutation that the last command emitted, nil for none.
func onlyMutation(t *testing.T, e *commandtest.Executor) *event.Mutation {
	t.Helper()
	switch len(e.Store.Emitted) {
	case 0:
		return nil
	case 1:
		return &e.Store.Emitted[0]
	}
	t.Fatalf("%d mutations", len(e.Store.Emitted))
	return nil
}

// TestSetBitWritesOneSegment: however long a bitmap is, a bit set is one segment in the log.
func TestSetBitWritesOneSegment(t *testing.T) {
	e := newExecutor(t)
	for _, offset := range []int{16777216, 5, 9000000, 9000009, 16777215} {
		do(t, e, fmt.Sprintf("setbit k %d 1", offset), ":0\r\n")
		m := onlyMutation(t, e)
		if m == nil || m.Op != event.OpBits || len(m.Elements) != 1 || len(m.Elements[0].Value) > event.SegmentBytes || m.Count != 2097153 {
			t.Fatalf("setbit %d: %+v", offset, m)
		}
		if v := m.Elements[0].Value; len(v) != offset/8%512+1 {
			t.Errorf("setbit %d: %d bytes, want none behind the last that isn't zero", offset, len(v))
		}
		if want := []byte{0, 0, byte(offset / 8 / 512 >> 8), byte(offset / 8 / 512)}; !bytes.Equal(m.Elements[0].Sub, want) {
			t.Errorf("setbit %d: segment %x, want %x", offset, m.Elements[0].Sub, want)
		}
	}
	do(t, e, "bitcount k", ":5\r\n")
	if n := len(e.Store.Collection("k")); n != 4 {
		t.Errorf("%d segments are kept, want 4", n)
	}
}

// TestBitsWithoutChange: what is as it should be emits nothing; growth alone is a change, and says so by its last segment.
func TestBitsWithoutChange(t *testing.T) {
	e := newExecutor(t)
	for _, c := range []struct {
		line     string
		elements int // -1: no mutation; 0: a plain string
	}{
		{"setbit k 9000 1", 1}, {"setbit k 9000 1", -1}, {"setbit k 8999 0", -1}, {"setbit k 20000 0", 1}, {"setbit k 20000 0", -1},
		{"setbit k 9000 0", 1}, {"bitfield k get u8 100000", -1}, {"bitfield k set u8 0 0", -1}, {"bitfield k overflow fail set u8 0 256", -1},
		{"bitfield k set u8 4092 255", 2}, {"bitfield k set u8 4092 255 set u8 30000 0", 1},
		{"setbit s 7 0", 0}, {"setbit s 7 0", -1}, {"setbit s 4095 1", 0}, {"setbit s 4096 1", 2}, {"append s x", 0}, {"setbit s 1 0", -1}, {"setbit s 1 1", 2},
		{`set z "\x00"*599`, 0}, {`append z "\x01"`, 0}, {"setbit z 4799 0", 1}, {"bitcount z", -1}, {"setbit z 4799 0", -1},
	} {
		e.Do(words(c.line)...)
		m := onlyMutation(t, e)
		switch {
		case m == nil && c.elements != -1, m != nil && (c.elements == -1 || c.elements != len(m.Elements)):
			t.Errorf("%s: emitted %+v, want %d elements", c.line, m, c.elements)
		}
	}
	do(t, e, "strlen k", ":3751\r\n")
	do(t, e, "bitcount z", ":0\r\n")
	do(t, e, "strlen z", ":600\r\n")
}

// TestBitmapTakesOverExpiry: a string that becomes a bitmap is the same key.
func TestBitmapTakesOverExpiry(t *testing.T) {
	e := newExecutor(t)
	e.Do(words(`set k "x"*600 px 100000`)...)
	was := e.Store.Rows()["k"]
	do(t, e, "setbit k 0 1", ":0\r\n")
	is := e.Store.Rows()["k"]
	if is.Type != event.TypeBitmap || is.ExpireAt != was.ExpireAt || is.ExpiryVersion != was.ExpiryVersion || is.Count != 600 {
		t.Errorf("was %+v, is %+v", was, is)
	}
	do(t, e, "append k y", ":601\r\n")
	if is = e.Store.Rows()["k"]; is.Type != event.TypeString || is.ExpireAt != was.ExpireAt {
		t.Errorf("after APPEND it is %+v", is)
	}
	if m := onlyMutation(t, e); m.Op != event.OpValue || m.Before.Type != event.TypeBitmap || m.Before.Generation == 0 {
		t.Errorf("APPEND emitted %+v", m)
	}
}

// TestBitmapsAgainstBytes runs random commands on bits and on strings, and keeps the value in a slice of bytes beside.
func TestBitmapsAgainstBytes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 1))
	e := newExecutor(t)
	e.Replicates = true
	var model []byte
	grow := func(n int) { model = append(model, make([]byte, max(0, n-len(model)))...) }
	for range 3000 {
		offset := draw.IntN(40000)
		if draw.IntN(3) == 0 {
			offset = []int{0, 4095, 4096, 8191, 8192, 12287}[draw.IntN(6)]
		}
		switch bit := draw.IntN(2); draw.IntN(12) {
		default:
			grow(offset/8 + 1)
			mask := byte(0x80) >> (offset % 8)
			old := min(1, model[offset/8]&mask)
			do(t, e, fmt.Sprintf("setbit k %d %d", offset, bit), fmt.Sprintf(":%d\r\n", old))
			model[offset/8] = model[offset/8]&^mask | mask*byte(bit)
		case 0:
			model = append(model, "tail"...)
			do(t, e, "append k tail", fmt.Sprintf(":%d\r\n", len(model)))
		case 1:
			from := draw.IntN(len(model) + 1)
			to := from + draw.IntN(len(model)+1-from)
			if from < to {
				do(t, e, fmt.Sprintf("getrange k %d %d", from, to-1), fmt.Sprintf("$%d\r\n%s\r\n", to-from, model[from:to]))
				do(t, e, fmt.Sprintf("bitcount k %d %d", from, to-1), fmt.Sprintf(":%d\r\n", ones(model[from:to])))
			}
		case 2:
			if draw.IntN(40) == 0 {
				e.Do(words("del k")...)
				model = nil
			}
		case 3:
			do(t, e, "bitcount k", fmt.Sprintf(":%d\r\n", ones(model)))
			do(t, e, "strlen k", fmt.Sprintf(":%d\r\n", len(model)))
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	want := fmt.Sprintf("$%d\r\n%s\r\n", len(model), model)
	if model == nil { // DEL came last
		want = "$-1\r\n"
	}
	do(t, e, "get k", want)
}

func ones(p []byte) (n int) {
	for _, b := range p {
		n += bits.OnesCount8(b)
	}
	return n
}

// watched is a view that counts the segments it shows.
type watched struct {
	*commandtest.Store
	segments int
}

func (w *watched) Elements(key []byte, m *event.Meta, in command.Range, visit func(sub []byte, e *command.Element) bool) error {
	return w.Store.Elements(key, m, in, func(sub []byte, e *command.Element) bool {
		w.segments++
		return visit(sub, e)
	})
}

func (w *watched) Element(key []byte, m *event.Meta, sub []byte) (command.Element, bool, error) {
	w.segments++
	return w.Store.Element(key, m, sub)
}

// TestReadsTouchWhatTheyNeed: a part of a bitmap is read from its segments alone.
func TestReadsTouchWhatTheyNeed(t *testing.T) {
	e := newExecutor(t)
	e.Do(words("set s abc")...)
	for i := range 100 {
		e.Do(words(fmt.Sprintf("setbit k %d 1", i*4096+4095))...)
	}
	for _, c := range []struct {
		line     string
		segments int
	}{
		{"strlen k", 0}, {"getbit k 5000", 1}, {"getrange k 1000 1100", 2}, {"bitcount k 5120 5631", 1}, {"bitcount k 40960 49151 bit", 2},
		{"bitpos k 1 512 -1", 1}, {"get k", 100}, {"bitfield_ro k get u8 4092", 2}, {"get s", 0}, {"bitcount s", 0}, {"mget s k", 100},
	} {
		view := &watched{Store: e.Store}
		run(t, &command.Context{View: view}, c.line)
		if view.segments != c.segments {
			t.Errorf("%s: %d segments read, want %d", c.line, view.segments, c.segments)
		}
	}
}

// run evaluates a read and gives its reply.
func run(t *testing.T, c *command.Context, line string) []byte {
	t.Helper()
	if c.Reply == nil {
		c.Reply = &command.Reply{}
	}
	c.Args = words(line)
	spec, _, problem := command.Resolve(c.Args, &command.DefaultLimits)
	if problem != "" {
		t.Fatal(problem)
	}
	c.Spec = spec
	if err := spec.Run(c); err != nil {
		t.Fatal(err)
	}
	return c.Reply.Buf
}

// TestBitmapStreams: GET of a long bitmap goes out in parts, and together they are the value.
func TestBitmapStreams(t *testing.T) {
	e := newExecutor(t)
	for _, offset := range []int{3, 8000000, 8000001, 16777000} {
		e.Do(words(fmt.Sprintf("setbit k %d 1", offset))...)
	}
	want := e.Do(words("get k")...)
	var got []byte
	parts := 0
	reply := &command.Reply{Spill: func(part []byte) error {
		parts++
		got = append(got, part...)
		return nil
	}}
	rest := run(t, &command.Context{View: e.Store, Reply: reply}, "get k")
	if got = append(got, rest...); !bytes.Equal(got, want) || parts < 20 {
		t.Errorf("%d parts, %d bytes, want %d bytes", parts, len(got), len(want))
	}
}

// TestWritesDontStream: a write's reply stays whole until it is committed.
func TestWritesDontStream(t *testing.T) {
	e := newExecutor(t)
	e.Do(words("setbit k 8000000 1")...)
	reply := &command.Reply{Spill: func([]byte) error { return errors.New("a part went out") }}
	if got := run(t, &command.Context{View: e.Store, Tx: e.Store, Reply: reply}, "getset k v"); len(got) != 1000001+len("$1000001\r\n\r\n") {
		t.Errorf("GETSET replied %d bytes", len(got))
	}
	do(t, e, "get k", "$1\r\nv\r\n")
}

// FuzzBitField runs BITFIELD on a plain string, and on the same as a bitmap, and compares replies and values.
func FuzzBitField(f *testing.F) {
	f.Add([]byte("get\x00u8\x000\x00set\x00i64\x00#3\x00-1\x00overflow\x00sat\x00incrby\x00u4\x004095\x009"))
	f.Add([]byte("overflow\x00fail\x00incrby\x00i64\x000\x009223372036854775807\x00incrby\x00i64\x000\x009223372036854775807"))
	f.Add([]byte("set\x00u63\x00#66\x00-9223372036854775808\x00get\x00i1\x00#4294967295"))
	f.Fuzz(func(t *testing.T, input []byte) {
		args := append(words("bitfield k"), bytes.Split(input, []byte{0})...)
		a, b := newExecutor(t), newExecutor(t)
		a.Do(words(`set k "\xf0"*600`)...)
		b.Do(words(`set k "\xf0"*600`)...)
		b.Do(words("setbit k 0 0")...)
		b.Do(words("setbit k 0 1")...)
		if x, y := a.Do(args...), b.Do(args...); !bytes.Equal(x, y) {
			t.Errorf("%q: a string gives %q, a bitmap %q", args, x, y)
		}
		if x, y := a.Do(words("get k")...), b.Do(words("get k")...); !bytes.Equal(x, y) {
			t.Errorf("%q: a string becomes another than a bitmap", args)
		}
	})
}

// dense is a bitmap of 2 MiB without anything but its segments in memory.
type dense struct {
	command.View
	segment []byte
	subs    [4096][4]byte
}

func (d *dense) Meta([]byte) (event.Meta, bool, error) {
	return event.Meta{Type: event.TypeBitmap, Count: 2 << 20, Generation: 1, Version: event.Version{Time: 1, Cluster: 1}}, true, nil
}

func (d *dense) Element([]byte, *event.Meta, []byte) (command.Element, bool, error) {
	return command.Element{Value: d.segment, Version: event.Version{Time: 1, Cluster: 1}}, true, nil
}

func (d *dense) Elements(_ []byte, _ *event.Meta, _ command.Range, visit func(sub []byte, e *command.Element) bool) error {
	e := command.Element{Value: d.segment}
	for i := range d.subs {
		d.subs[i] = [4]byte{0, 0, byte(i >> 8), byte(i)}
		if !visit(d.subs[i][:], &e) {
			break
		}
	}
	return nil
}

func (d *dense) Emit(*event.Mutation) {}

// BenchmarkBitmap is the commands' own work on a bitmap of 2 MiB.
func BenchmarkBitmap(b *testing.B) {
	for _, line := range []string{"setbit k 9000000 1", "setbit k 9000000 0", "getbit k 9000000", "bitcount k", "bitpos k 1", "bitfield k incrby u16 9000000 1"} {
		b.Run(line, func(b *testing.B) {
			d := &dense{segment: bytes.Repeat([]byte{0x55}, event.SegmentBytes)}
			args := words(line)
			spec, _, _ := command.Resolve(args, &command.DefaultLimits)
			c := &command.Context{Spec: spec, Args: args, Now: 1000, View: d, Tx: d, Reply: &command.Reply{}}
			b.ReportAllocs()
			for b.Loop() {
				c.Reply.Buf = c.Reply.Buf[:0]
				if err := spec.Run(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestBitmapReadErrors: rows that can't be read are an error of the command, which emits nothing.
func TestBitmapReadErrors(t *testing.T) {
	for _, line := range []string{"setbit k 1 1", "getbit k 1", "bitcount k", "bitpos k 1", "bitop or d k", "bitop not d k", "bitfield k set u8 0 1", "bitfield_ro k get u8 0", "bitclear k",
		"get k", "mget k", "append k x", "setrange k 1 x", "getset k x", "set k x get", "getex k", "getdel k", "incr k", "lcs k k", "pfadd k a", "pfcount k", "pfcount k k", "pfmerge k",
		"geoadd g 1 1 m", "geopos g m", "geodist g a b", "geohash g m", "geosearch g frommember m byradius 1 m", "georadius g 1 1 1 m", "geosearchstore d g fromlonlat 1 1 byradius 1 km"} {
		for _, key := range []string{"k", "g"} {
			e := newExecutor(t)
			e.Do(words("setbit k 9000 1")...)
			e.Do(words("geoadd g 1 1 m")...)
			if !bytes.Contains([]byte(line), []byte(key)) {
				continue
			}
			e.Store.Emitted = nil
			e.Store.ReadError = errors.New("broken disk")
			if got := e.Do(words(line)...); string(got) != "-ERR broken disk\r\n" || len(e.Store.Emitted) > 0 {
				t.Errorf("%s: %q, emitted %d", line, got, len(e.Store.Emitted))
			}
		}
	}
}
