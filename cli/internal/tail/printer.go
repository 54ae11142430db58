package tail

import (
	"context"
	"errors"
	"io"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/nodes"
)

// printer reads one partition and prints it into chunks.
type printer struct {
	ctx        context.Context
	reader     *feed.Reader
	format     Format
	until      Until
	heartbeats bool
	validator  event.Validator

	chunk *chunk
	home  chan *chunk
	out   chan<- *chunk
}

func newPrinter(ctx context.Context, cfg *Config, p Partition, out chan<- *chunk) (*printer, error) {
	from := cfg.Feed
	from.Partition, from.From = p.Number, p.From
	reader, err := feed.Open(ctx, from)
	if err != nil {
		return nil, err
	}
	pr := &printer{ctx: ctx, reader: reader, format: cfg.Format(), until: p.Until, heartbeats: cfg.Heartbeats && cfg.Feed.Follow, home: newChunks(), out: out}
	pr.chunk = <-pr.home
	return pr, nil
}

// run prints until the partition ends. What ended it goes with the last chunk, unless it was the context.
func (p *printer) run() {
	defer p.reader.Close()
	err := p.print()
	if p.chunk == nil { // the merger went away
		return
	}
	p.chunk.err = err
	p.send()
}

func (p *printer) send() error {
	next, err := p.chunk.send(p.ctx, p.out, p.home)
	p.chunk = next
	return err
}

func (p *printer) print() error {
	for {
		if len(p.chunk.text) > 0 && (p.chunk.full() || !p.reader.Buffered()) {
			if err := p.send(); err != nil {
				return err
			}
		}
		item, err := p.reader.Next()
		if err != nil {
			return unserved(err)
		}
		if err := p.item(item); err != nil {
			return err
		}
	}
}

// unserved marks what a reader gives up with when no replica serves: all that it fails with but a *feed.Error, the end, and its context's.
func unserved(err error) error {
	var problem *feed.Error
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &problem) {
		return err
	}
	return nodes.Unavailable(err)
}

// item prints an event or a bookmark. It gives io.EOF when nothing may follow.
func (p *printer) item(item *feed.Item) error {
	if item.Event == nil {
		return p.bookmark(item)
	}
	if p.until.past(item.Bookmark, item.Event.Time) {
		return io.EOF
	}
	if _, err := p.validator.Event(item.Stamp, item.Event, item.Names); err != nil {
		return err
	}
	var shown bool
	var err error
	p.chunk.text, shown, err = p.format.Event(p.chunk.text, item.Stamp, item.Event, item.Names)
	p.chunk.close(item.Event.Time, shown)
	if err == nil && p.until.reached(item.Bookmark) {
		err = io.EOF
	}
	return err
}

func (p *printer) bookmark(item *feed.Item) error {
	if p.heartbeats {
		p.chunk.text = p.format.Heartbeat(p.chunk.text, item.Stamp, item.Bookmark, item.ServerTime.UnixNano())
		p.chunk.close(0, false)
	}
	if p.until.passed(item.Bookmark, item.ServerTime.UnixNano()) {
		return io.EOF
	}
	return nil
}
