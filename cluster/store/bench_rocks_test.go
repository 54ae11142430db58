//go:build cgo

package store

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cluster/engine/rocks"
)

func rocksEngine(b *testing.B) *rocks.Engine {
	b.Helper()
	shared := rocks.NewShared(rocks.SharedOptions{})
	e, err := rocks.Open(b.TempDir(), shared, rocks.Options{})
	must(b, err)
	b.Cleanup(func() {
		must(b, e.Close())
		must(b, shared.Close())
	})
	return e
}

func BenchmarkCommitRocks(b *testing.B) {
	for _, c := range commits {
		b.Run(fmt.Sprintf("sets=%d,events=%d", c.per, c.events), func(b *testing.B) { benchCommit(b, rocksEngine(b), nil, c.per, c.events) })
	}
}

func BenchmarkMetaRocks(b *testing.B) { benchMeta(b, rocksEngine(b)) }
