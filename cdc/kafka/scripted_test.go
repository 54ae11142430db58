package kafka

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	_ "github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/produce"

	"github.com/zankv/zankv/cdc/changefeed"
)

// script is a broker that answers Produce with codes, one a request, the last for ever: what a real one says only in trouble. It decodes
// requests by kafka-go's means. There is no network: connections are pipes, and time is synctest's where a test wants that.
type script struct {
	codes    []kafkago.Error
	throttle time.Duration
	// raw, if it isn't nil, is what answers everything.
	raw []byte
	// offset, if it isn't 0, is where batches are said to stand.
	offset int64

	mu       sync.Mutex
	produced [][]byte
	fetches  int
}

func (sc *script) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go sc.serve(theirs)
	return ours, nil
}

func (sc *script) serve(c net.Conn) {
	defer c.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		request := append(head[:], make([]byte, binary.BigEndian.Uint32(head[:]))...)
		if _, err := io.ReadFull(c, request[4:]); err != nil {
			return
		}
		if sc.raw != nil {
			c.Write(sc.raw)
			return
		}
		version, id, _, message, err := protocol.ReadRequest(bytes.NewReader(request))
		if err != nil {
			return
		}
		if _, ok := message.(*fetch.Request); ok {
			c.Write(sc.nothing(id))
			continue
		}
		if err := protocol.WriteResponse(c, version, id, sc.answer(message, request)); err != nil {
			return
		}
	}
}

// nothing is the answer to a Fetch that brings no record, in version 4.
func (sc *script) nothing(id int32) []byte {
	sc.mu.Lock()
	sc.fetches++
	sc.mu.Unlock()
	b := be.AppendUint32(make([]byte, 4), uint32(id))
	b = be.AppendUint32(b, 0) // throttled
	b = append(be.AppendUint32(b, 1), 0, 1, 't')
	b = be.AppendUint32(be.AppendUint32(b, 1), 0)
	b = be.AppendUint64(be.AppendUint64(be.AppendUint16(b, 0), 0), 0)
	b = be.AppendUint32(be.AppendUint32(b, 0), 0)
	be.PutUint32(b, uint32(len(b)-4))
	return b
}

func (sc *script) answer(m protocol.Message, request []byte) protocol.Message {
	switch m := m.(type) {
	case *listoffsets.Request:
		return &listoffsets.Response{Topics: []listoffsets.ResponseTopic{{Topic: "t", Partitions: []listoffsets.ResponsePartition{{}}}}}
	case *apiversions.Request:
		return &apiversions.Response{ApiKeys: []apiversions.ApiKeyResponse{{ApiKey: int16(protocol.Produce), MinVersion: 3, MaxVersion: 8},
			{ApiKey: int16(protocol.Fetch), MinVersion: 4, MaxVersion: 4}, {ApiKey: int16(protocol.ListOffsets), MinVersion: 1, MaxVersion: 5},
			{ApiKey: int16(protocol.Metadata), MinVersion: 4, MaxVersion: 8}}}
	case *metadata.Request:
		return &metadata.Response{Brokers: []metadata.ResponseBroker{{NodeID: 1, Host: "scripted", Port: 1}},
			Topics: []metadata.ResponseTopic{{Name: m.TopicNames[0], Partitions: []metadata.ResponsePartition{{LeaderID: 1}}}}}
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.produced = append(sc.produced, request)
	code := sc.codes[0]
	if len(sc.codes) > 1 {
		sc.codes = sc.codes[1:]
	}
	return &produce.Response{ThrottleTimeMs: int32(sc.throttle.Milliseconds()), Topics: []produce.ResponseTopic{{Topic: "t",
		Partitions: []produce.ResponsePartition{{ErrorCode: int16(code), BaseOffset: cmp.Or(sc.offset, 7), ErrorMessage: "so it is written",
			RecordErrors: []produce.ResponseError{{BatchIndexErrorMessage: "this one"}}}}}}}
}

// stream is one whose brokers are the script's.
func (sc *script) stream() *stream {
	g := target(1)
	cl := &cluster{dialer: &dialer{network: sc.dial}, bootstrap: []string{"scripted:1"}}
	cl.mu.idle = map[string][]*conn{}
	s, err := New(&Config{Brokers: []string{"scripted:1"}}, nil)
	if err != nil {
		panic(err)
	}
	s.cluster = cl
	return &stream{sink: s, topic: "t", id: identity{changefeed: "x"}, budget: g.Budget, meter: g.Meter,
		encoder: newRecordEncoder(identity{}, false), request: produceHeader("t", 0), limit: 10_000,
		producer: producer{id: 1, epoch: 2, sequence: 3}, renewed: time.Now()}
}

// TestVerdicts: what each refusal of a broker means.
func TestVerdicts(t *testing.T) {
	for refusal, want := range map[kafkago.Error]changefeed.Code{
		kafkago.InvalidProducerEpoch:     changefeed.CodeFenced,
		kafkago.ProducerFenced:           changefeed.CodeFenced,
		kafkago.OutOfOrderSequenceNumber: changefeed.CodeFenced,
		kafkago.UnknownProducerId:        changefeed.CodeFenced,
		kafkago.MessageSizeTooLarge:      changefeed.CodeMessageTooLarge,
		kafkago.TopicAuthorizationFailed: changefeed.CodeBrokerAuth,
		kafkago.InvalidTimestamp:         changefeed.CodeTopic,
		kafkago.Error(1234):              changefeed.CodeInternal,
	} {
		sc := &script{codes: []kafkago.Error{refusal}}
		s := sc.stream()
		err := s.Append(t.Context(), batch(changes(1, 3)...))
		if e := trouble(t, err); e.Code != want || e.Final || !errors.Is(err, refusal) || !strings.Contains(e.Error(), "so it is written") {
			t.Errorf("%v gives %+v", refusal, *e)
		}
		if n := len(sc.produced); n != 1 {
			t.Errorf("%v: %d requests", refusal, n)
		}
		if refusal == kafkago.MessageSizeTooLarge && s.sink.learned.Load() != 5000 {
			t.Errorf("the next stream tries record batches of %d bytes", s.sink.learned.Load())
		}
	}
}

// TestPatience: what may get better is tried again, for half a minute.
func TestPatience(t *testing.T) {
	for refusal, want := range map[kafkago.Error]changefeed.Code{
		kafkago.NotEnoughReplicas:            changefeed.CodeBrokerStorage,
		kafkago.NotEnoughReplicasAfterAppend: changefeed.CodeBrokerStorage,
		kafkago.KafkaStorageError:            changefeed.CodeBrokerStorage,
		kafkago.NotLeaderForPartition:        changefeed.CodeBrokerDown,
		kafkago.RequestTimedOut:              changefeed.CodeBrokerSlow,
		kafkago.ThrottlingQuotaExceeded:      changefeed.CodeBrokerThrottled,
	} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{codes: []kafkago.Error{refusal}}
			s := sc.stream()
			defer s.sink.Close()
			began := time.Now()
			err := s.Append(t.Context(), batch(changes(1, 3)...))
			if e := trouble(t, err); e.Code != want || e.Final || !errors.Is(err, refusal) {
				t.Errorf("%v gives %+v", refusal, *e)
			}
			if took, n := time.Since(began), len(sc.produced); took < patience-maxPause || took > patience || n < 15 || n > 60 {
				t.Errorf("%v was tried %d times in %s", refusal, n, took)
			}
		})
	}
}

// TestRepeats: a batch that is taken in the end, or was taken before, is the same in each request, and the next one follows it.
func TestRepeats(t *testing.T) {
	for _, last := range []kafkago.Error{0, kafkago.DuplicateSequenceNumber} {
		synctest.Test(t, func(t *testing.T) {
			sc := &script{codes: []kafkago.Error{kafkago.NotEnoughReplicasAfterAppend, kafkago.NotEnoughReplicasAfterAppend, last}}
			s := sc.stream()
			defer s.sink.Close()
			if err := s.Append(t.Context(), batch(changes(1, 5)...)); err != nil {
				t.Fatal(err)
			}
			if len(sc.produced) != 3 || s.meter.Retries.Load() != 2 || s.producer.sequence != 7 {
				t.Fatalf("%d requests, %d repeats, sequence %d", len(sc.produced), s.meter.Retries.Load(), s.producer.sequence)
			}
			for _, r := range sc.produced[1:] {
				if !bytes.Equal(r[12:], sc.produced[0][12:]) { // but for the number of the request
					t.Fatal("a repeat differs from what it repeats")
				}
			}
		})
	}
}

// TestThrottled: after an answer that says so, the next request waits.
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{codes: []kafkago.Error{0}, throttle: 45 * time.Second}
		s := sc.stream()
		defer s.sink.Close()
		began := time.Now()
		for range 2 {
			if err := s.Append(t.Context(), batch(changes(1, 2)...)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 45*time.Second || s.meter.Throttled.Load() != int64(90*time.Second) {
			t.Fatalf("the second batch came after %s, %d ns are counted", took, s.meter.Throttled.Load())
		}
	})
}

// TestNotKafka: somebody else answers on that port.
func TestNotKafka(t *testing.T) {
	for _, raw := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\x00\x00\x06\x00\x00\x00\x63\x00\x00", "\x15\x03\x01\x00\x02\x02\x28"} {
		s := (&script{raw: []byte(raw)}).stream()
		err := s.Append(t.Context(), batch(changes(1, 2)...))
		if e := trouble(t, err); e.Code != changefeed.CodeSinkConfig || !strings.Contains(e.Error(), "tls=true") {
			t.Errorf("%q gives %+v", raw, *e)
		}
	}
}

// TestCutAnswers: of an answer that ends anywhere nothing is believed, and nothing panics.
func TestCutAnswers(t *testing.T) {
	for version := int16(leastProduce); version <= mostProduce; version++ {
		var b bytes.Buffer
		sc := &script{codes: []kafkago.Error{kafkago.InvalidRecord}, throttle: time.Second}
		if err := protocol.WriteResponse(&b, version, 9, sc.answer(&produce.Request{}, nil)); err != nil {
			t.Fatal(err)
		}
		whole := b.Bytes()
		if p, err := parseProduced(whole, version, 9); err != nil || p.code != 87 || p.offset != 7 || p.throttled != time.Second {
			t.Fatalf("version %d: %+v, %v", version, p, err)
		}
		for n := 4; n < len(whole); n++ {
			if _, err := parseProduced(slices.Clone(whole[:n]), version, 9); err == nil {
				t.Fatalf("version %d: %d of %d bytes are believed", version, n, len(whole))
			}
		}
	}
}

// TestUnshownEnd: a leader that doesn't show yet what was acknowledged has no end there; it is asked again, and for so long.
func TestUnshownEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{codes: []kafkago.Error{0}}
		s := sc.stream()
		defer s.sink.Close()
		began, end := time.Now(), newTail(s.id)
		err := s.scan(t.Context(), end, 0, 5)
		if e := trouble(t, err); e.Code != changefeed.CodeBrokerDown || e.Final || e.Action == "" {
			t.Errorf("%+v", e)
		}
		if took := time.Since(began); sc.fetches < 2 || took > patience+maxPause {
			t.Errorf("it was asked %d times within %s", sc.fetches, took)
		}
	})
}

// TestFenceWithoutAPlace: a fence of which it isn't known where it stands is no end to read up to.
func TestFenceWithoutAPlace(t *testing.T) {
	s := (&script{codes: []kafkago.Error{kafkago.DuplicateSequenceNumber}, offset: -1}).stream()
	_, err := s.fence(t.Context(), &s.producer)
	if e := trouble(t, err); e.Code != changefeed.CodeFenced || e.Final {
		t.Errorf("%+v", e)
	}
}

// TestLengthsOfAnswers: one that can't be is an error.
func TestLengthsOfAnswers(t *testing.T) {
	frame := []byte{0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}
	if _, _, err := readAnswer(frame, protocol.CreateTopics, 5); err == nil {
		t.Error("it was read")
	}
}

// TestLargeBatchesBesideTheBudget: when the budget is used up some batches are encoded beside it, but of large ones one at a time.
func TestLargeBatchesBesideTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := changefeed.NewBudget(1 << 20)
		if _, err := budget.Acquire(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		for range reserveSlots {
			if _, err := m.acquire(t.Context(), budget, reserveLarge); err != nil {
				t.Fatal(err)
			}
		}
		first, err := m.acquire(t.Context(), budget, 128<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{1, 128 << 20} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := m.acquire(ctx, budget, size); err == nil {
				t.Errorf("%d bytes more", size)
			}
			cancel()
		}
		m.release(first)
		if _, err := m.acquire(t.Context(), budget, 128<<20); err != nil {
			t.Error(err)
		}
	})
}
