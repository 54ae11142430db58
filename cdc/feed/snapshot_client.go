package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// SnapshotConfig is what a SnapshotReader reads, and from whom.
type SnapshotConfig struct {
	// Nodes are addresses, host:port, of any of the cluster's nodes: they name the partition's replicas.
	Nodes     []string
	Namespace string
	Partition uint32
	// AtLeast is a position that the snapshot must hold: who has seen an event wants no state from before it. Zero: any will do.
	AtLeast event.Position
	// AfterKey leaves out all keys up to it: for who has their rows of an earlier snapshot, and can do with another position for the rest.
	AfterKey []byte
	// Tombstones adds what was deleted, and keys that have expired, as store.Snapshot's FullRows gives them: for who goes on from the state as its source
	// does. A server that doesn't know of them is passed over.
	Tombstones bool
	// GiveUp is how long OpenSnapshot looks for a replica that serves; 0 is for ever.
	GiveUp time.Duration
	// Silence is how long the stream may be without a message before it is given up; 0 means 15 s. A server that has nothing to
	// send yet says so every second.
	Silence time.Duration
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial []grpc.DialOption
	// Logger is told of replicas that can't serve; nil is for nobody.
	Logger *slog.Logger
}

// SnapshotBase is the place of the log that a snapshot is of.
type SnapshotBase struct {
	Cluster   string
	Namespace string
	Partition uint32
	// Position is the last event in the state, Chain the chain there. Zero: there was none yet.
	Position event.Position
	Chain    event.Chain
	// Applied is the last entry in the state, an event or not.
	Applied event.Position
	// Names give the ids of the rows' cluster numbers.
	Names event.Names
	// Wall is the partition's wall clock there, ms since 1970: keys that had expired by then are left out. An OpExpire of such a key may
	// follow in the log.
	Wall int64
	// Time is the partition's hybrid clock there, ns since 1970: no version in the rows is above it.
	Time int64
	// Keys is about how many keys there are: expired ones, and those up to AfterKey, are counted.
	Keys uint64
	// Horizons are up to which time (ns) the state has everything that a cluster made, by cluster id, where that is known.
	Horizons map[string]int64
	// Replica is the address that serves.
	Replica string
}

// After is where to go on in the log when the rows have been read.
func (b *SnapshotBase) After() From { return After(b.Position, b.Chain) }

// ErrSnapshotLost is wrapped by what Next returns when the stream broke off: the replica is gone, or its state was replaced, or the reader took too
// long. What was read can't be completed, as every other stream has another position: begin with a new SnapshotReader.
var ErrSnapshotLost = errors.New("the snapshot broke off")

// SnapshotReader reads one partition's state at one position. It is for one goroutine; memory is one batch of rows, about 256 KiB or one row.
type SnapshotReader struct {
	cfg    SnapshotConfig
	search search
	cancel context.CancelFunc
	conn   *connection[feedpb.SnapshotResponse]
	base   SnapshotBase

	digest [sha256.Size]byte
	rows   uint64
	ev     event.Event
	err    error // what Next returns from now on
}

// OpenSnapshot finds a replica that serves and returns when it has said of which position the state is. ctx ends the reader, whatever it waits for.
// It fails with an *Error of kind Unknown when there is no such partition; that AtLeast
// isn't applied anywhere is waited for.
//
// To go on after the snapshot without a gap, register a consumer at Base().Position (Consumers.Set) before the rows are read: reading
// them may take longer than the log is kept.
func OpenSnapshot(ctx context.Context, cfg SnapshotConfig) (*SnapshotReader, error) {
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("feed: open snapshot: no nodes given: name at least one, host:port")
	}
	if cfg.Namespace == "" {
		return nil, errors.New("feed: open snapshot: no namespace given")
	}
	if cfg.Silence == 0 {
		cfg.Silence = 15 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &SnapshotReader{cfg: cfg}
	ctx, r.cancel = context.WithCancel(ctx)
	r.search = search{ctx: ctx, nodes: cfg.Nodes, namespace: cfg.Namespace, partition: cfg.Partition, giveUp: cfg.GiveUp, dial: cfg.Dial, logger: cfg.Logger}
	for {
		err := r.connect()
		if err == nil {
			return r, nil
		}
		r.drop()
		if err := r.search.failed(err, r.passes, cfg.AtLeast.String()); err != nil {
			r.cancel()
			return nil, err
		}
	}
}

// passes: AtLeast was seen in the log, so it was committed, and is applied again some time after a restart of all replicas. GiveUp, or ctx, bounds
// the wait for one that was mistyped.
func (r *SnapshotReader) passes(problem *Error) bool {
	return problem.Kind == Ahead || problem.Kind == Elsewhere
}

func (r *SnapshotReader) connect() error {
	address, err := r.search.next(r.search.candidates)
	if err != nil {
		return err
	}
	req := &feedpb.SnapshotRequest{Namespace: r.cfg.Namespace, Partition: r.cfg.Partition, AfterKey: r.cfg.AfterKey, AtLeast: toPB(r.cfg.AtLeast), Tombstones: r.cfg.Tombstones}
	r.conn, err = connect(&r.search, address, r.cfg.Silence, func(ctx context.Context, c feedpb.FeedClient) (grpc.ServerStreamingClient[feedpb.SnapshotResponse], error) {
		return c.Snapshot(ctx, req)
	})
	if err != nil {
		return err
	}
	m, err := r.conn.receive(r.cfg.Silence)
	if err != nil {
		return noEOF(err)
	}
	return r.begin(m.GetBase())
}

// begin takes what the server says of the position.
func (r *SnapshotReader) begin(b *feedpb.SnapshotBase) error {
	if b == nil {
		return fmt.Errorf("feed %s: %s began a snapshot without a base", r.search.name(), r.conn.address)
	}
	if b.Namespace != r.cfg.Namespace || b.Partition != r.cfg.Partition {
		return fmt.Errorf("feed: asked for a snapshot of %s, got one of %s-%d", r.search.name(), b.Namespace, b.Partition)
	}
	r.base = SnapshotBase{
		Cluster: b.Cluster, Namespace: b.Namespace, Partition: b.Partition, Position: fromPB(b.Position), Applied: fromPB(b.Applied),
		Names: b.Names, Wall: b.WallMs, Time: b.Time, Keys: b.Keys, Horizons: b.Horizons, Replica: r.conn.address,
	}
	if copy(r.base.Chain[:], b.Chain) != len(r.base.Chain) {
		return fmt.Errorf("feed %s: the snapshot begins with a chain of %d bytes, want %d", r.search.name(), len(b.Chain), len(r.base.Chain))
	}
	if r.base.Applied.Index < r.cfg.AtLeast.Index {
		return ahead(r.search.name(), r.cfg.AtLeast, r.base.Applied.Index)
	}
	if r.cfg.Tombstones && !b.Tombstones {
		return fmt.Errorf("feed %s: %s runs an older program, whose snapshots have no tombstones", r.search.name(), r.conn.address)
	}
	r.digest = r.base.Chain
	return nil
}

// Base is the place of the log that the state is of. It doesn't change.
func (r *SnapshotReader) Base() *SnapshotBase { return &r.base }

// Next gives the next rows: an event whose mutations they are, in the order of the keys. What a row says is written at store.RowReader. The event is
// the reader's, and valid until the next call; its position is none of the log's. io.EOF comes after the last row, and promises that
// every row was handed out, unaltered. Any other error is final, too, and what was read is incomplete: see ErrSnapshotLost.
func (r *SnapshotReader) Next() (*event.Event, event.Names, error) {
	for r.err == nil {
		m, err := r.conn.receive(r.cfg.Silence)
		if err != nil {
			r.err = r.lost(err)
			break
		}
		switch body := m.Body.(type) {
		case *feedpb.SnapshotResponse_Rows:
			if len(body.Rows.Event) == 0 && body.Rows.Count == 0 {
				continue
			}
			if r.err = r.check(body.Rows); r.err == nil {
				return &r.ev, r.base.Names, nil
			}
		case *feedpb.SnapshotResponse_End:
			if r.err = r.end(body.End); r.err == nil {
				r.err = io.EOF
			}
		}
	}
	r.drop()
	return nil, nil, r.err
}

// check decodes rows, if they are what the server sent.
func (r *SnapshotReader) check(b *feedpb.SnapshotRows) error {
	r.digest = nextDigest(&r.digest, b.Event)
	if string(b.Digest) != string(r.digest[:]) {
		return r.altered("%d rows after %d give digest %x, the server has %x", b.Count, r.rows, r.digest, b.Digest)
	}
	if err := event.Decode(b.Event, &r.ev); err != nil {
		return r.altered("%d rows after %d: %w", b.Count, r.rows, err)
	}
	if len(r.ev.Mutations) != int(b.Count) {
		return r.altered("after %d rows there are %d, the server has %d", r.rows, len(r.ev.Mutations), b.Count)
	}
	r.rows += uint64(b.Count)
	return nil
}

func (r *SnapshotReader) end(e *feedpb.SnapshotEnd) error {
	if e.Rows != r.rows || string(e.Digest) != string(r.digest[:]) {
		return r.altered("it ends with %d rows and digest %x, the server sent %d and %x", r.rows, r.digest, e.Rows, e.Digest)
	}
	return nil
}

func (r *SnapshotReader) altered(format string, args ...any) error {
	return fmt.Errorf("feed: snapshot of %s at %s from %s: the content was altered: %w", r.search.name(), r.base.Position, r.base.Replica, fmt.Errorf(format, args...))
}

// lost says why the stream can't be read to its end.
func (r *SnapshotReader) lost(err error) error {
	if ctxErr := r.search.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return fmt.Errorf("feed: snapshot of %s at %s from %s: %w after %d rows: %w", r.search.name(), r.base.Position, r.base.Replica, ErrSnapshotLost, r.rows, noEOF(err))
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server ended the stream before the end of the snapshot")
	}
	return err
}

func (r *SnapshotReader) drop() {
	if r.conn != nil {
		r.conn.close()
		r.conn = nil
	}
}

// Close ends the reader.
func (r *SnapshotReader) Close() error {
	r.cancel()
	r.drop()
	if r.err == nil {
		r.err = fmt.Errorf("feed: snapshot of %s: the reader is closed", r.search.name())
	}
	return nil
}

// nextDigest is the digest after rows, in the logged form. It covers every byte: what of a row the JSON doesn't show (counts,
// generations, the versions of a whole collection's elements) isn't in event.DigestOf, and a reader needs it unaltered, too.
func nextDigest(before *[sha256.Size]byte, rows []byte) (after [sha256.Size]byte) {
	h := sha256.New()
	h.Write(before[:])
	h.Write(rows)
	h.Sum(after[:0])
	return after
}
