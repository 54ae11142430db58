package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// Timestamps that ask for a place instead of a time.
const (
	atEnd       = -1
	atBeginning = -2
)

// cursor reads the batches of a partition one after the other, with one fetch's answer in memory. It is for one goroutine.
type cursor struct {
	cluster   *cluster
	topic     string
	partition uint32
	// offset is that of the next batch, or within it.
	offset int64

	leader  string
	buf     []byte
	rest    []byte // of the answer: batches that weren't read
	info    batchInfo
	records records // of the batch that info describes
}

func (c *cursor) close() { c.records.close() }

// batch goes to the next one: then info and records are its. false says that there was none within wait.
func (c *cursor) batch(ctx context.Context, wait time.Duration) (bool, error) {
	for {
		b, rest, ok, err := cutBatch(c.rest)
		if err != nil {
			return false, err
		}
		if ok {
			c.rest = rest
			if b.next <= c.offset { // the answer begins with the batch that has the offset, in pieces that were sent together
				continue
			}
			c.info, c.offset = b, b.next
			return true, c.records.open(b)
		}
		if more, err := c.fetch(ctx, wait); err != nil || !more {
			return false, err
		}
	}
}

// fetch gets the next answer; false if it is empty.
func (c *cursor) fetch(ctx context.Context, wait time.Duration) (bool, error) {
	var got fetched
	err := c.persist(ctx, func(ctx context.Context) error {
		return c.cluster.with(ctx, c.leader, func(n *conn) (err error) {
			got, err = n.fetch(ctx, c.topic, c.partition, c.offset, wait, &c.buf)
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("offset %d: %w", c.offset, err)
	}
	c.rest = got.batches
	_, _, ok, err := cutBatch(c.rest)
	if err == nil && !ok && len(c.rest) > 0 {
		err = fmt.Errorf("offset %d: %w: the broker's answer has part of a batch only", c.offset, errCorrupt)
	}
	return ok, err
}

// persist repeats a request to the leader, whoever that is.
func (c *cursor) persist(ctx context.Context, do func(context.Context) error) error {
	return persist(ctx, func(error) { c.leader = "" }, func(ctx context.Context) (err error) {
		if c.leader == "" {
			if c.leader, err = c.cluster.leader(ctx, c.topic, c.partition); err != nil {
				return err
			}
		}
		return do(ctx)
	})
}

func (c *cursor) first(ctx context.Context) (int64, error) { return c.ask(ctx, atBeginning) }
func (c *cursor) end(ctx context.Context) (int64, error)   { return c.ask(ctx, atEnd) }

// ask asks for the offset at a place.
func (c *cursor) ask(ctx context.Context, place int64) (offset int64, err error) {
	err = c.persist(ctx, func(ctx context.Context) error {
		answer, err := c.cluster.ask(ctx, c.leader, &listoffsets.Request{ReplicaID: -1, Topics: []listoffsets.RequestTopic{{Topic: c.topic,
			Partitions: []listoffsets.RequestPartition{{Partition: int32(c.partition), CurrentLeaderEpoch: -1, Timestamp: place}}}}})
		if err != nil {
			return err
		}
		r := answer.(*listoffsets.Response)
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return fmt.Errorf("offsets of one partition: %w", errNotKafka)
		}
		p := r.Topics[0].Partitions[0]
		offset = p.Offset
		return code(p.ErrorCode)
	})
	return offset, err
}
