package feed

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
	"github.com/zankv/zankv/wal"
)

// Records are what the published schema says: generated code reads them.
func TestRecordsAgreeWithGeneratedCode(t *testing.T) {
	for _, p := range []event.Position{{}, {Term: 2, Index: 1041}, {Term: ^uint64(0), Index: ^uint64(0)}} {
		for _, data := range [][]byte{nil, []byte("event"), make([]byte, 300)} {
			prev := event.Position{Term: p.Term, Index: p.Index / 2}
			encoded := appendRecord([]byte("before"), p, prev, data)[len("before"):]
			var r feedpb.Record
			if err := protodelim.UnmarshalFrom(bytes.NewReader(encoded), &r); err != nil {
				t.Fatal(err)
			}
			if r.Term != p.Term || r.Index != p.Index || r.PrevTerm != prev.Term || r.PrevIndex != prev.Index || !bytes.Equal(r.Event, data) {
				t.Fatalf("generated code reads %v", &r)
			}
			gotP, gotPrev, gotData, rest, err := takeRecord(append(encoded, 7))
			if err != nil || gotP != p || gotPrev != prev || !bytes.Equal(gotData, data) || len(rest) != 1 {
				t.Fatalf("%v %v %q %v %v", gotP, gotPrev, gotData, rest, err)
			}
		}
	}
}

func FuzzTakeRecord(f *testing.F) {
	f.Add(appendRecord(nil, event.Position{Term: 2, Index: 3}, event.Position{Term: 1, Index: 2}, []byte("event")))
	f.Fuzz(func(t *testing.T, b []byte) {
		position, prev, data, rest, err := takeRecord(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatal("nothing was taken")
		}
		p, q, d, _, err := takeRecord(appendRecord(nil, position, prev, data))
		if err != nil || p != position || q != prev || !bytes.Equal(d, data) {
			t.Fatalf("%v %v %q comes back as %v %v %q, %v", position, prev, data, p, q, d, err)
		}
	})
}

// What the feed reads is what the log gives.
var _ LogReader = (*wal.Reader)(nil)
