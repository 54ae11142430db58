package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Config is what a Reader reads, and from whom.
type Config struct {
	// Nodes are addresses, host:port, of any of the cluster's nodes: they name the partition's replicas.
	Nodes     []string
	Namespace string
	Partition uint32
	From      From
	// Follow goes on when the end of the log is reached, for ever. Without it, the leader is preferred: what it acknowledged is in its log's end.
	Follow bool
	// GiveUp is how long the Reader looks for a replica that serves before Next fails; 0 is for ever.
	GiveUp time.Duration
	// Silence is how long a followed stream may be without even a bookmark before another replica is tried; 0 means 15 s.
	Silence time.Duration
	// Linger is the least time between two batches of a followed stream, whole ms, if it is less than the server's own; 0 leaves it to the server (20 ms).
	// Less costs both sides processor time while the partition is busy.
	Linger time.Duration
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial []grpc.DialOption
	// Logger is told of lost and changed replicas; nil is for nobody.
	Logger *slog.Logger
}

// Item is what comes next: an event or, while there is none, a bookmark. It belongs to the Reader and is valid until its next Next.
type Item struct {
	// Event is nil in a bookmark.
	Event *event.Event
	// Stamp is the event's. In a bookmark Stamp.Position and Stamp.Chain are the last event's, and cluster, namespace and partition are set.
	Stamp *event.Stamp
	// Names give the ids of the event's cluster numbers.
	Names event.Names
	// Bookmark is the position up to which everything came: the event's own, or that of a bookmark.
	Bookmark event.Position
	// ServerTime, of a bookmark, is the server's wall clock when it had applied nothing behind it, and knew a leader.
	ServerTime time.Time
}

// Reader reads one partition's feed. It is for one goroutine.
type Reader struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	in      incoming
	last    event.Stamp    // of the last event handed out, or where the first stream began
	reached event.Position // up to where everything came: last's position or a bookmark
	begun   bool           // last and reached are known
	conn    *connection[feedpb.SubscribeResponse]
	search  search
	item    Item
	done    bool
}

// Open makes a reader. It connects at the first Next. ctx ends it, whatever it waits for.
func Open(ctx context.Context, cfg Config) (*Reader, error) {
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("feed: open: no nodes given: name at least one, host:port")
	}
	if cfg.Namespace == "" {
		return nil, errors.New("feed: open: no namespace given")
	}
	if cfg.Silence == 0 {
		cfg.Silence = 15 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Reader{cfg: cfg}
	r.ctx, r.cancel = context.WithCancel(ctx)
	// Who reads to the end wants what the leader acknowledged; who follows spares it.
	r.search = search{
		ctx: r.ctx, nodes: cfg.Nodes, namespace: cfg.Namespace, partition: cfg.Partition, leader: !cfg.Follow, giveUp: cfg.GiveUp, dial: cfg.Dial, logger: cfg.Logger,
	}
	return r, nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	r.cancel()
	r.drop()
	return nil
}

// Position is the last event handed out with its chain: what After takes, to go on with another Reader. Before the first event it
// is where the first stream began, or zero.
func (r *Reader) Position() (event.Position, event.Chain) { return r.last.Position, r.last.Chain }

// Buffered says whether Next has an event at hand. When it hasn't, it is time to flush what was made of those before.
func (r *Reader) Buffered() bool { return r.in.left() }

// Next waits for the next event or bookmark. It gives io.EOF at the end of the log when it doesn't follow; an *Error when no replica can
// go on from where it is; ctx's error when that ended it.
func (r *Reader) Next() (*Item, error) {
	for {
		if r.done {
			return nil, io.EOF
		}
		if r.in.left() {
			if item := r.takeEvent(); item != nil {
				return item, nil
			}
			continue
		}
		item, err := r.receive()
		if item != nil {
			return item, nil
		}
		if err == nil {
			continue
		}
		if err := r.failed(err); err != nil {
			return nil, err
		}
	}
}

// takeEvent hands out the next event at hand, or drops it as a repeat of one that was.
func (r *Reader) takeEvent() *Item {
	r.in.take()
	if r.in.stamp.Position.Compare(r.last.Position) <= 0 {
		return nil
	}
	r.last, r.reached = r.in.stamp, r.in.stamp.Position
	r.item = Item{Event: &r.in.ev, Stamp: &r.in.stamp, Names: r.in.names, Bookmark: r.reached}
	return &r.item
}

// receive takes one message off the stream, connecting first if there is none. It returns an item only for a bookmark.
func (r *Reader) receive() (*Item, error) {
	if r.conn == nil {
		if err := r.connect(); err != nil {
			return nil, err
		}
	}
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	switch body := m.Body.(type) {
	case *feedpb.SubscribeResponse_Base:
		err = r.begin(body.Base)
	case *feedpb.SubscribeResponse_Batch:
		err = r.takeBatch(body.Batch)
	case *feedpb.SubscribeResponse_Bookmark:
		return r.bookmark(body.Bookmark)
	case *feedpb.SubscribeResponse_End:
		r.done = true
	}
	return nil, err
}

// begin checks that a new stream joins on to what was handed out.
func (r *Reader) begin(b *feedpb.Base) error {
	if err := r.in.begin(b); err != nil {
		return err
	}
	st := &r.in.stamp
	if st.Namespace != r.cfg.Namespace || st.Partition != r.cfg.Partition {
		return fmt.Errorf("feed: asked for %s-%d, got %s-%d", r.cfg.Namespace, r.cfg.Partition, st.Namespace, st.Partition)
	}
	if !r.begun {
		r.last, r.reached, r.begun = *st, st.Position, true
		return nil
	}
	if st.Cluster != r.last.Cluster {
		return mismatch(r.name(), r.last.Position, fmt.Sprintf("it is of cluster %q, the replica is of %q", r.last.Cluster, st.Cluster))
	}
	if c := st.Position.Compare(r.last.Position); c > 0 || c == 0 && st.Chain != r.last.Chain {
		return mismatch(r.name(), r.last.Position, fmt.Sprintf("the stream went on after %s with chain %s, before it was %s", st.Position, st.Chain, r.last.Chain))
	}
	return nil
}

// takeBatch checks a batch, and that repeats in it lead to where the reader is.
func (r *Reader) takeBatch(b *feedpb.Batch) error {
	before := r.in.stamp.Position.Compare(r.last.Position) < 0
	if err := r.in.check(b); err != nil {
		return err
	}
	if before {
		if err := r.joins(); err != nil {
			return r.in.refuse(err)
		}
	}
	r.search.succeeded()
	return nil
}

// joins says whether a batch of repeats stops short of the last event handed out, or passes it with the same chain.
func (r *Reader) joins() error {
	rest := r.in.records
	for _, chain := range r.in.chains {
		position, _, _, more, err := takeRecord(rest)
		if err != nil {
			return err
		}
		if c := position.Compare(r.last.Position); c > 0 || c == 0 && chain != r.last.Chain {
			return mismatch(r.name(), r.last.Position, fmt.Sprintf("the replica has %s with chain %s in its place", position, chain))
		} else if c == 0 {
			return nil
		}
		rest = more
	}
	return nil
}

func (r *Reader) bookmark(b *feedpb.Bookmark) (*Item, error) {
	p := fromPB(b.Position)
	if p.Index < r.reached.Index {
		return nil, nil // of a replica that is behind the one before
	}
	r.reached = p
	r.search.succeeded()
	r.item = Item{Stamp: &r.in.stamp, Names: r.in.names, Bookmark: p, ServerTime: time.Unix(0, b.Time)}
	return &r.item, nil
}

func (r *Reader) name() string { return fmt.Sprintf("%s-%d", r.cfg.Namespace, r.cfg.Partition) }
