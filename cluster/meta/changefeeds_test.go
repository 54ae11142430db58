package meta

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

func someProgress(i uint64) changefeed.Progress {
	return changefeed.Progress{
		Position: event.Position{Term: 2, Index: i}, State: changefeed.Normal, Owner: "10.0.0.1:12382", Epoch: 3, Time: 1795255200123456789,
		Figures: changefeed.Figures{Events: 1 << 40, Bytes: 1 << 50, OldestRetained: "2-100000", EventsPerSecond: 12345.678},
	}
}

// BenchmarkFeedView is a view after one partition of a thousand saved its progress.
func BenchmarkFeedView(b *testing.B) {
	f := NewFeedBuilder()
	f.SetSpec("f", &changefeed.Spec{ID: "f"})
	for i := range uint32(1000) {
		p := someProgress(uint64(i))
		f.SetProgress("f", i, &p)
	}
	b.ReportAllocs()
	for i := int64(1); b.Loop(); i++ {
		p := someProgress(uint64(i))
		f.SetProgress("f", 7, &p)
		f.View(i)
	}
}

// BenchmarkFeedProgress is reading one partition's progress as the watch gives it.
func BenchmarkFeedProgress(b *testing.B) {
	p := someProgress(1)
	value, err := EncodeFeedValue(&p)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(value)), "bytes")
	for b.Loop() {
		if err := json.Unmarshal(value, &p); err != nil {
			b.Fatal(err)
		}
	}
}

// A changefeed is shown while it has a definition, with what there is of it, and what wasn't touched is shared.
func TestFeedBuilder(t *testing.T) {
	b := NewFeedBuilder()
	p := someProgress(1)
	b.SetProgress("f", 0, &p)
	if v := b.View(1); len(v.Feeds) != 0 {
		t.Fatalf("shown without a definition: %+v", v.Feeds)
	}
	b.SetSpec("f", &changefeed.Spec{ID: "f"})
	b.SetOwner("f", 1, &changefeed.Owner{Process: "a"})
	v := b.View(2)
	if f := v.Feeds["f"]; f == nil || len(f.Progress) != 1 || len(f.Owners) != 1 {
		t.Fatalf("got %+v", f)
	}
	b.SetOwner("f", 1, nil)
	b.SetSpec("g", &changefeed.Spec{ID: "g"})
	w := b.View(3)
	if reflect.ValueOf(w.Feeds["f"].Progress).Pointer() != reflect.ValueOf(v.Feeds["f"].Progress).Pointer() {
		t.Error("progress was copied though it wasn't touched")
	}
	if len(v.Feeds["f"].Owners) != 1 || len(w.Feeds["f"].Owners) != 0 || len(v.Feeds) != 1 {
		t.Fatalf("views were changed: %+v, %+v", v.Feeds["f"], w.Feeds["f"])
	}
	b.SetSpec("f", nil)
	b.SetProgress("f", 0, nil)
	if v := b.View(4); len(v.Feeds) != 1 || len(b.feeds) != 1 {
		t.Fatalf("left are %v and %d raw", v.Feeds, len(b.feeds))
	}
}
