package switchover_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/peers/pairtest"
	"github.com/zankv/zankv/cli/internal/switchover"
)

// world is a pair, and a folder for what is kept of its switches.
type world struct {
	*pairtest.Pair
	dir string
}

func newWorld(t *testing.T) *world { return &world{pairtest.New(t), t.TempDir()} }

// options are those of a planned switch.
func (w *world) options(t *testing.T, from, to *pairtest.Side, say func(switchover.Line)) switchover.Options {
	t.Helper()
	equality, err := switchover.Checksums([]string{from.GRPC}, []string{to.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { equality.Close() })
	return switchover.Options{
		From: from.Peer, To: to.Peer, File: filepath.Join(w.dir, from.ID+"-"+to.ID+".json"), MaxLag: time.Minute, Equality: equality,
		Say: func(l switchover.Line) {
			t.Logf("%s %s %s (%d ms)", l.Step, l.State, l.Message, l.TookMS)
			if say != nil {
				say(l)
			}
		},
	}
}

// planned carries out a planned switch.
func planned(ctx context.Context, o switchover.Options) error {
	r, done, err := switchover.Plan(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if done {
		return errors.New("it was done before")
	}
	return r.Do(ctx)
}

func abort(ctx context.Context, o switchover.Options) error {
	r, _, err := switchover.Plan(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Abort(ctx)
}

// load writes numbered keys to a cluster until it is refused, and says how many were acknowledged.
func load(ctx context.Context, s *pairtest.Side, prefix string, counts chan<- int) {
	n := 0
	for ctx.Err() == nil && pairtest.Set(ctx, s, fmt.Sprintf("%s:%d", prefix, n), fmt.Sprint(n)) == nil {
		n++
	}
	counts <- n
}
