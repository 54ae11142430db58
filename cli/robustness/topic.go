package robustness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/message"
)

// Topic is what a changefeed writes to Kafka, all partitions of it read from the beginning and held against the feed's promises as they come: nothing
// missing, repeated, out of order or altered; parts are joined.
type Topic struct {
	*kafka.Topic
	Partitions []*Stream
	Kinds      []*Kinds // by partition
	cancel     context.CancelFunc
	running    sync.WaitGroup
}

// Kinds counts a partition's messages.
type Kinds struct {
	mu struct {
		sync.Mutex
		messages   map[message.Kind]int
		parts      int
		tombstones map[string]bool // keys whose last message is one
	}
}

// maxJoined bounds a value that is put together.
const maxJoined = 128 << 20

// FollowTopic begins to read a topic, which has to be there. Stop ends it.
func FollowTopic(ctx context.Context, uri, cluster, namespace string) (*Topic, error) {
	c, err := kafka.ParseURI(uri)
	if err != nil {
		return nil, fmt.Errorf("robustness: %w", err)
	}
	t := &Topic{}
	if t.Topic, err = kafka.OpenTopic(ctx, c, cluster, namespace); err != nil {
		return nil, fmt.Errorf("robustness: %w", err)
	}
	following, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	for p := range t.Topic.Partitions() {
		s, k := newStream(int(p)), &Kinds{}
		k.mu.messages, k.mu.tombstones = map[message.Kind]int{}, map[string]bool{}
		t.Partitions, t.Kinds = append(t.Partitions, s), append(t.Kinds, k)
		r := &topicReader{stream: s, kinds: k, reader: t.Topic.Reader(p, -1, -1), joiner: message.Joiner{MaxBytes: maxJoined}}
		t.running.Go(func() { s.fail(r.run(following)) })
	}
	return t, nil
}

// topicReader reads one partition.
type topicReader struct {
	stream *Stream
	kinds  *Kinds
	reader *kafka.Reader
	joiner message.Joiner
}

// run reads until ctx ends or something is wrong. A broker that doesn't answer isn't: it is asked again.
func (r *topicReader) run(ctx context.Context) error {
	defer close(r.stream.done)
	for {
		m, err := r.reader.Next(ctx)
		if err == nil {
			err = r.take(m)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !passing(err) {
			return err
		}
	}
}

// passing says whether an error is of a broker that is away for a while.
func passing(err error) bool {
	problem, ok := errors.AsType[*changefeed.Error](err)
	return ok && !problem.Final && problem.Code != changefeed.CodeCorrupt && !errors.Is(err, io.EOF)
}

func (r *topicReader) take(m *message.Message) error {
	r.kinds.count(m)
	line, err := r.joiner.Add(m)
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.reader.Offset(), err)
	}
	if line == nil {
		return nil
	}
	if err := r.stream.line(line); err != nil {
		return fmt.Errorf("offset %d: %w", r.reader.Offset(), err)
	}
	return nil
}

func (k *Kinds) count(m *message.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.messages[m.Kind]++
	if m.Total != 0 {
		k.mu.parts++
	}
	switch m.Kind {
	case message.Tombstone:
		k.mu.tombstones[string(m.Key)] = true
	case message.Change, message.SnapshotRow:
		delete(k.mu.tombstones, string(m.Key))
	}
}

// Of is how many messages of a kind came, and how many messages were parts of a value.
func (k *Kinds) Of(kind message.Kind) (messages, parts int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.messages[kind], k.mu.parts
}

// Tombstone says whether a key's last message is a tombstone.
func (k *Kinds) Tombstone(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.tombstones[key]
}

// Err is the first thing found wrong so far.
func (t *Topic) Err() error {
	for _, s := range t.Partitions {
		if err := s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Await returns when every partition has come to its marker.
func (t *Topic) Await(ctx context.Context, m Markers) error {
	for p, s := range t.Partitions {
		if _, err := s.Await(ctx, m.Keys[p], m.Value); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends reading, and gives what each partition's events fold to. The error is what was found wrong before.
func (t *Topic) Stop() ([]*event.Fold, error) {
	err := t.Err()
	t.cancel()
	t.running.Wait()
	folds := make([]*event.Fold, len(t.Partitions))
	for p, s := range t.Partitions {
		folds[p] = &s.mu.fold
	}
	return folds, errors.Join(err, t.Close())
}
