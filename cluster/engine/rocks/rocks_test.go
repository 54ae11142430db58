package rocks_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/enginetest"
	"github.com/zankv/zankv/cluster/engine/rocks"
)

// shared is closed with the test, after its engines.
func shared(t testing.TB, options rocks.SharedOptions) *rocks.Shared {
	t.Helper()
	s := rocks.NewShared(options)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const smallMemtable = 64 << 10

// crash copies the directory as it is: the memtables are lost, as in a crash.
func crash(t testing.TB, _ engine.Engine, dir, to string, _ *rand.Rand) {
	t.Helper()
	for {
		whole, err := copyFiles(dir, to)
		if err != nil {
			t.Fatal(err)
		}
		if whole {
			return
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformance(t *testing.T) {
	s := shared(t, rocks.SharedOptions{})
	enginetest.Run(t, enginetest.Target{
		Open: func(t testing.TB, dir string) engine.Engine {
			t.Helper()
			e, err := rocks.Open(dir, s, rocks.Options{MemtableBytes: smallMemtable})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Crash:          crash,
		SmallMemtables: smallMemtable,
	})
}

// copyFiles copies the manifest and links the table files, which never change. A table is dropped only after the manifest
// has said so: if the manifest is still the same afterwards, everything that it names was there to be linked.
func copyFiles(dir, to string) (whole bool, err error) {
	if err := os.Mkdir(to, 0o755); err != nil {
		return false, err
	}
	before, err := readAll(dir, "CURRENT", "MANIFEST-*")
	if err != nil {
		return false, err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return false, err
	}
	for _, from := range tables {
		err := os.Link(from, filepath.Join(to, filepath.Base(from)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	after, err := readAll(dir, "CURRENT", "MANIFEST-*")
	if err != nil || !maps.Equal(before, after) {
		return false, err
	}
	for name, data := range after {
		if err := os.WriteFile(filepath.Join(to, name), []byte(data), 0o644); err != nil {
			return false, err
		}
	}
	return true, nil
}

// readAll reads the files of dir that match a pattern, by name.
func readAll(dir string, patterns ...string) (map[string]string, error) {
	contents := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			contents[filepath.Base(path)] = string(data)
		}
	}
	return contents, nil
}
