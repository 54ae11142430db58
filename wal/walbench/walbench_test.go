package walbench

import (
	"os"
	"testing"
	"time"
)

// TestRun: every measurement runs and counts. With WALBENCH=1 it is long enough to mean something.
func TestRun(t *testing.T) {
	o := Options{Groups: []int{1, 4}, Duration: time.Millisecond}
	if os.Getenv("WALBENCH") != "" {
		o = Options{}
	}
	results, err := Run(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Log(r)
		if r.Entries <= 0 || r.Syncs <= 0 || r.Ratio <= 0 {
			t.Errorf("%v: want more than nothing", r)
		}
	}
}
