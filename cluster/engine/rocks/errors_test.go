package rocks

import (
	"errors"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

// TestClasses has RocksDB's own words: they are all that its C interface hands out.
func TestClasses(t *testing.T) {
	for _, c := range []struct {
		words string
		want  error
	}{
		{"IO error: No space left on device: While appending to file: /data/db/000012.sst: No space left on device", engine.ErrNoSpace},
		{"IO error: While appending to file: /data/db/000012.sst: Disk quota exceeded", engine.ErrNoSpace},
		{"Corruption: block checksum mismatch: stored = 1, computed = 2  in /data/db/000012.sst offset 0 size 10", engine.ErrCorrupt},
		{"IO error: lock hold by current process, acquire time 1 acquiring thread 2: /data/db/LOCK: No locks available", engine.ErrInUse},
		{"IO error: While lock file: /data/db/LOCK: Resource temporarily unavailable", engine.ErrInUse},
		{"IO error: While fdatasync: /data/db/000012.sst: Input/output error", nil},
	} {
		err := failure("write", "/data/db", errors.New(c.words))
		for _, class := range []error{engine.ErrNoSpace, engine.ErrCorrupt, engine.ErrInUse, engine.ErrClosed} {
			if errors.Is(err, class) != (class == c.want) {
				t.Errorf("%q: is %v: %t", c.words, class, errors.Is(err, class))
			}
		}
		if want := "engine/rocks: write /data/db: "; err.Error()[:len(want)] != want {
			t.Errorf("got %q, want it to begin with %q", err, want)
		}
	}
	if err := failure("write", "/data/db", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
