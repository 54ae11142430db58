package kafka

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

const (
	actionForeign = "Name a topic in the sink's URI that nothing else writes to, or delete this one."
	actionOlder   = "Nothing, if another node owns the partition by now. If the cluster's metadata was made anew, so that claims count from the " +
		"beginning again: create the changefeed under another id, for another topic."
)

// tail is what stands at the end of a partition: the last record of the stream, and who wrote there.
type tail struct {
	own   identity
	found bool
	last  message.Message // owned
	// writer has the producer id of the last batch of the stream; epochs are the highest seen of each producer, fences included.
	writer int64
	epochs map[int64]int16
	// epoch is the highest claim of ours that the last batch or a fence after it names.
	epoch uint64
	// other is whose stream it is, in words, if it isn't ours. Where nothing but fences stands it is the first one's; elsewhere fences of others, who were
	// refused here, don't count.
	other  string
	opened int64 // offset of the first fence seen, -1 before
	opener string
}

func newTail(own identity) *tail {
	return &tail{own: own, writer: noProducer, epochs: map[int64]int16{}, opened: -1}
}

// batch notes who wrote a batch, record what stands in it.
func (t *tail) batch(b *batchInfo) {
	t.epochs[b.producer.id] = max(t.epochs[b.producer.id], b.producer.epoch)
}

func (t *tail) record(r *record, b *batchInfo) {
	if !r.ours {
		return
	}
	other := t.foreign(r)
	if r.changefeed != "" && other == "" {
		t.epoch = max(t.epoch, r.epoch)
	}
	if r.fence {
		if t.opened < 0 || r.offset < t.opened {
			t.opened, t.opener = r.offset, other
		}
		return
	}
	if other != "" {
		t.other = other
	}
	t.found, t.writer = true, b.producer.id
	key, value := t.last.Key, t.last.Value
	t.last = r.message
	t.last.Key, t.last.Value = copyInto(key, r.message.Key), copyInto(value, r.message.Value)
}

// foreign says whose record it is, "" if it is ours. Only some records name a changefeed.
func (t *tail) foreign(r *record) string {
	switch {
	case r.cluster != t.own.cluster || r.namespace != t.own.namespace || r.partition != t.own.partition:
		return fmt.Sprintf("cluster %s, namespace %s, partition %d", r.cluster, r.namespace, r.partition)
	case r.changefeed != "" && r.changefeed != t.own.changefeed:
		return "changefeed " + r.changefeed
	}
	return ""
}

// copyInto copies b into the memory of dst; nil stays nil.
func copyInto(dst, b []byte) []byte {
	if b == nil {
		return nil
	}
	if dst == nil {
		return bytes.Clone(b)
	}
	return append(dst[:0], b...)
}

// check says why this owner may not go on here.
func (t *tail) check(s *stream) error {
	at := fmt.Sprintf("partition %d of topic %s", s.partition, s.topic)
	other := t.other
	if !t.found {
		other = t.opener
	}
	switch {
	case other != "":
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkDiverged, Final: true, Action: actionForeign,
			What: fmt.Sprintf("%s has the stream of %s, not that of changefeed %s of cluster %s, namespace %s: two in one topic can't be told apart",
				at, other, t.own.changefeed, t.own.cluster, t.own.namespace)}
	case t.epoch > t.own.epoch:
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced, Action: actionOlder,
			What: fmt.Sprintf("%s was taken over by the claim of epoch %d: this one is of epoch %d", at, t.epoch, t.own.epoch)}
	case t.epochs[s.producer.id] > s.producer.epoch:
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced, Action: actionFenced,
			What: fmt.Sprintf("%s was taken over by another owner meanwhile", at)}
	}
	return nil
}

// unfenced is a producer other than ours that wrote last, with the epoch and the sequence number of a fence against it.
func (t *tail) unfenced(own int64) (producer, bool) {
	if !t.found || t.writer == own || t.writer == noProducer {
		return producer{}, false
	}
	epoch := t.epochs[t.writer]
	if epoch == 1<<15-1 { // it is used up: Kafka gives out no more of this id
		return producer{}, false
	}
	return producer{id: t.writer, epoch: epoch + 1}, true
}

// fenced notes that a producer can't write any more, unless something of it still turns up.
func (t *tail) fenced(p producer) {
	t.epochs[p.id] = p.epoch
	t.writer = noProducer
}

// scan reads [from, to) into a tail.
func (s *stream) scan(ctx context.Context, t *tail, from, to int64) error {
	_, err := s.scanFrom(ctx, t, from, to)
	return err
}

// unshown waits after a fetch that brought nothing, though what was acknowledged follows. A leader that has just become one doesn't show all of it before its
// followers have asked it. Taken for the end, that would have the stream go on before its end. since is when that began.
func (s *stream) unshown(ctx context.Context, since *time.Time, at, to int64) error {
	if since.IsZero() {
		*since = time.Now()
	}
	if time.Since(*since) < patience {
		sleep(ctx, firstPause)
		return ctx.Err()
	}
	return &changefeed.Error{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerDown, Action: actionDown,
		What: fmt.Sprintf("the leader of partition %d of topic %s shows nothing from offset %d on, though everything up to %d was acknowledged", s.partition, s.topic, at, to)}
}

// scanFrom is scan that also returns the partition's first offset.
func (s *stream) scanFrom(ctx context.Context, t *tail, from, to int64) (first int64, err error) {
	c := cursor{cluster: s.sink.cluster, topic: s.topic, partition: s.partition, offset: from}
	defer c.close()
	first, err = c.first(ctx)
	if err != nil {
		return 0, problem(err, "partition %d of topic %s: asking where it begins", s.partition, s.topic)
	}
	c.offset = max(from, first)
	var rec record
	var hidden time.Time
	for c.offset < to {
		more, err := c.batch(ctx, 0)
		if err == nil && !more {
			err = s.unshown(ctx, &hidden, c.offset, to)
		}
		if err != nil {
			return 0, problem(err, "partition %d of topic %s: reading its end", s.partition, s.topic)
		}
		if !more {
			continue
		}
		hidden = time.Time{}
		if c.info.offset >= to || c.info.control {
			continue
		}
		t.batch(&c.info)
		for {
			ok, err := c.records.next(&rec)
			if err != nil {
				return 0, problem(err, "partition %d of topic %s: reading its end", s.partition, s.topic)
			}
			if !ok {
				break
			}
			if rec.offset < to {
				t.record(&rec, &c.info)
			}
		}
	}
	return first, nil
}
