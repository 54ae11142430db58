// Package tail prints a partition's feed: what `zankv-cdc tail` does.
//
// Output is buffered while events are at hand and flushed as soon as none is, so that a catch-up is fast and a follower sees each
// event at once. Every event is checked (order, gaps, chain) before its first line is printed, and printed whole.
package tail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// Format is how an event is printed: one line for each of its mutations.
type Format func(dst []byte, st *event.Stamp, ev *event.Event, i int, names event.Names) []byte

// ParseFormat reads "json" or "text".
func ParseFormat(s string) (Format, error) {
	switch s {
	case "json":
		return event.AppendJSON, nil
	case "text":
		return event.AppendText, nil
	}
	return nil, fmt.Errorf("format %q: want json or text", s)
}

// Config is what to print.
type Config struct {
	Feed   feed.Config
	Format Format
	// Count ends it after that many events; 0 is no limit.
	Count uint64
}

// Run prints to out until the end of the log, Count events, or ctx's end, of which none is an error, nor is that out was closed by who
// reads it. A *feed.Error says that the feed can't go on.
func Run(ctx context.Context, out io.Writer, cfg Config) error {
	r, err := feed.Open(ctx, cfg.Feed)
	if err != nil {
		return err
	}
	defer r.Close()
	w := bufio.NewWriterSize(out, 64<<10)
	err = copyEvents(r, w, &cfg)
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil && errors.Is(err, ctx.Err()) || closedPipe(err) {
		return nil
	}
	return err
}

func copyEvents(r *feed.Reader, w *bufio.Writer, cfg *Config) error {
	validator := event.Validator{}
	var line []byte
	for n := uint64(0); cfg.Count == 0 || n < cfg.Count; {
		if !r.Buffered() {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		item, err := r.Next()
		if err != nil {
			return err
		}
		if item.Event == nil {
			continue
		}
		if _, err := validator.Event(item.Stamp, item.Event, item.Names); err != nil {
			return err
		}
		for i := range item.Event.Mutations {
			line = cfg.Format(line[:0], item.Stamp, item.Event, i, item.Names)
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		n++
	}
	return nil
}

// closedPipe says whether who read the output went away, as head does when it has enough.
func closedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed)
}
