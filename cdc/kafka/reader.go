package kafka

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

// followWait is how long one request waits for something new.
const followWait = 500 * time.Millisecond

// Topic is one that a changefeed writes, for reading. Its methods may be called from any goroutine.
type Topic struct {
	name       string
	partitions uint32
	cluster    *cluster
}

// OpenTopic looks a topic up that is there. cluster and namespace fill in the URI's template, and aren't needed where it has the name itself. The error
// is a *changefeed.Error.
func OpenTopic(ctx context.Context, c *Config, cluster, namespace string) (*Topic, error) {
	name, err := c.Topic(cluster, namespace)
	if err != nil {
		return nil, misconfigured(err)
	}
	cl, err := newCluster(c)
	if err != nil {
		return nil, misconfigured(err)
	}
	t := &Topic{name: name, cluster: cl}
	err = persist(ctx, nil, func(ctx context.Context) error {
		m, err := cl.metadata(ctx, name)
		if err != nil {
			return err
		}
		t.partitions = uint32(len(m.Topics[0].Partitions))
		return code(m.Topics[0].ErrorCode)
	})
	if err != nil {
		cl.Close()
		return nil, problem(err, "topic %s: looking it up", name)
	}
	return t, nil
}

// Name is the topic's; Partitions how many it has.
func (t *Topic) Name() string       { return t.name }
func (t *Topic) Partitions() uint32 { return t.partitions }

// Close closes the connections. Readers fail then.
func (t *Topic) Close() error { return t.cluster.Close() }

// Range is what offsets a partition has, half open.
type Range struct{ First, End int64 }

// Ends asks for each partition's. The error is a *changefeed.Error.
func (t *Topic) Ends(ctx context.Context) ([]Range, error) {
	ranges := make([]Range, t.partitions)
	for p := range ranges {
		c := cursor{cluster: t.cluster, topic: t.name, partition: uint32(p)}
		var err error
		if ranges[p].First, err = c.first(ctx); err == nil {
			ranges[p].End, err = c.end(ctx)
		}
		if err != nil {
			return nil, problem(err, "partition %d of topic %s: asking for its offsets", p, t.name)
		}
	}
	return ranges, nil
}

// Reader reads the messages of one partition in order. Fences and records that no changefeed wrote are left out. It is for one goroutine, and
// holds one fetch's answer (1 MiB, or one record batch that is larger) and one record in memory.
type Reader struct {
	cursor  cursor
	from    int64 // < 0: not known yet
	to      int64 // < 0: for ever
	started bool
	rec     record
}

// Reader reads from an offset on, from the beginning if that is below 0, and up to another, for ever if that is below 0.
func (t *Topic) Reader(partition uint32, from, to int64) *Reader {
	return &Reader{cursor: cursor{cluster: t.cluster, topic: t.name, partition: partition}, from: from, to: to}
}

// Next waits for the next message until ctx ends; io.EOF says that the reader is at its end. The message is valid until the next call. Other
// errors are *changefeed.Errors, CodeCorrupt for what can't be read; Next then gives the same again.
func (r *Reader) Next(ctx context.Context) (*message.Message, error) {
	if err := r.start(ctx); err != nil {
		return nil, r.problem(err)
	}
	for {
		ok, err := r.cursor.records.next(&r.rec)
		if err != nil {
			return nil, r.problem(err)
		}
		switch {
		case !ok && r.to >= 0 && r.cursor.offset >= r.to:
			return nil, io.EOF
		case !ok:
			if err := r.advance(ctx); err != nil {
				return nil, r.problem(err)
			}
		case r.to >= 0 && r.rec.offset >= r.to:
			return nil, io.EOF
		case r.rec.offset >= r.from && r.rec.ours && !r.rec.fence:
			r.from = r.rec.offset + 1
			return &r.rec.message, nil
		}
	}
}

// start finds the place to begin at.
func (r *Reader) start(ctx context.Context) (err error) {
	if r.started {
		return nil
	}
	if r.from < 0 {
		if r.from, err = r.cursor.first(ctx); err != nil {
			return err
		}
	}
	r.cursor.offset, r.started = r.from, true
	return nil
}

// advance goes to the next batch, waiting for it.
func (r *Reader) advance(ctx context.Context) error {
	for {
		ok, err := r.cursor.batch(ctx, followWait)
		if err != nil || ok && !r.cursor.info.control {
			return err
		}
		if ok {
			r.cursor.records.close()
		}
		if r.to >= 0 && r.cursor.offset >= r.to {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (r *Reader) problem(err error) error {
	if err == io.EOF {
		return err
	}
	e := problem(err, "partition %d of topic %s: reading it", r.cursor.partition, r.cursor.topic)
	return e
}

// Offset is the last message's in its partition.
func (r *Reader) Offset() int64 { return r.rec.offset }

// Origin says which stream the last message is of, as its headers have it.
func (r *Reader) Origin() (cluster, namespace string, partition uint32, format changefeed.Format) {
	return r.rec.cluster, r.rec.namespace, r.rec.partition, changefeed.Format(r.rec.format)
}

// String names what is read.
func (r *Reader) String() string {
	return fmt.Sprintf("topic %s, partition %d", r.cursor.topic, r.cursor.partition)
}
