// Package tail prints the feed of a namespace's partitions: what `zankv-cdc tail` does.
//
// Model. Each partition has a goroutine of its own that reads, checks (order, gaps, chain), filters and prints into a chunk; one merger writes
// the chunks' events out, whole. Without following, the merger takes the event of the least time next, so that the output has one order; while it
// follows, it takes what comes, and no partition waits for an idle one. Within a partition the order is always the feed's.
//
// Output is buffered while events are at hand and flushed as soon as none is, so that a catch-up is fast and a follower sees each event at once.
//
// Memory is bounded by the number of partitions: each has two chunks, which end after 64 KiB or one event, and what its reader holds. A partition
// whose chunks are full waits, and so does the feed behind it.
package tail

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/zankv/zankv/cdc/feed"
)

// Config is what to print.
type Config struct {
	// Feed says how to read a partition. Which, and from where, is in Partitions.
	Feed feed.Config
	// Partitions are read at once and printed as one.
	Partitions []Partition
	// Format makes what prints one partition.
	Format func() Format
	// Count ends it after that many events that are shown; 0 is no limit.
	Count uint64
	// Heartbeats prints how far an idle partition is, while it follows.
	Heartbeats bool
}

// Partition is one of those to print.
type Partition struct {
	Number uint32
	From   feed.From
	Until  Until
}

// Run prints to out until the end of every partition's log, or what Until says, Count events, or ctx's end, of which none is an error, nor is that
// out was closed by who reads it. A *feed.Error says that a partition's feed can't go on: what came before it is printed.
func Run(ctx context.Context, out io.Writer, cfg Config) error {
	if len(cfg.Partitions) == 0 {
		return errors.New("tail: no partitions given")
	}
	w := bufio.NewWriterSize(out, 64<<10)
	err := copyEvents(ctx, w, &cfg)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) || closedPipe(err) {
		return nil
	}
	return err
}

// copyEvents runs the partitions, and merges what they print.
func copyEvents(ctx context.Context, w *bufio.Writer, cfg *Config) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	m := merger{w: w, count: cfg.Count}
	shared := make(chan *chunk)
	var channels []<-chan *chunk
	for _, p := range cfg.Partitions {
		out := shared
		if !cfg.Feed.Follow {
			out = make(chan *chunk)
			channels = append(channels, out)
		}
		pr, err := newPrinter(ctx, cfg, p, out)
		if err != nil {
			return err
		}
		group.Go(pr.run)
	}
	if cfg.Feed.Follow {
		return m.asTheyCome(ctx, shared, len(cfg.Partitions))
	}
	return m.byTime(ctx, channels)
}

// closedPipe says whether who read the output went away, as head does when it has enough.
func closedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed)
}
