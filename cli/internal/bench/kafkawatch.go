package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/message"
)

// topicWatcher looks at the end of a topic's partition, when asked: it costs nothing meanwhile.
type topicWatcher struct {
	ctx       context.Context
	topic     *kafka.Topic
	partition uint32
	from      int64 // the end when it began
	remove    func()
}

// watchTopic creates a changefeed, and waits until it has begun in all partitions.
func watchTopic(ctx context.Context, nodes []string, spec changefeed.Spec) ([]watcher, error) {
	client, err := admin.Dial(nodes)
	if err != nil {
		return nil, err
	}
	if _, err := client.Create(ctx, spec); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	all := []watcher{&topicWatcher{remove: func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchWait)
		defer cancel()
		_ = client.Remove(closing, spec.ID) // the cluster ends with the run
		_ = client.Close()
	}}}
	if err := begun(ctx, client, spec.ID); err != nil {
		return all, err
	}
	c, err := kafka.ParseURI(spec.SinkURI)
	if err != nil {
		return all, err
	}
	topic, err := kafka.OpenTopic(ctx, c, "", spec.Namespace)
	if err != nil {
		return all, err
	}
	ends, err := topic.Ends(ctx)
	if err != nil {
		return all, errors.Join(err, topic.Close())
	}
	first := all[0].(*topicWatcher)
	removed := first.remove
	first.remove = func() { removed(); _ = topic.Close() }
	for p, r := range ends {
		if p > 0 {
			all = append(all, &topicWatcher{remove: func() {}})
		}
		w := all[p].(*topicWatcher)
		w.ctx, w.topic, w.partition, w.from = ctx, topic, uint32(p), r.End
	}
	return all, nil
}

// begun waits until every partition has an owner that has begun.
func begun(ctx context.Context, client *admin.Client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		s, err := client.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("changefeed %s: %w", id, err)
		}
		running := 0
		for _, p := range s.Progress {
			if p.State == changefeed.Normal && p.Epoch != 0 {
				running++
			}
		}
		if running == localPartitions {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("changefeed %s: %d of %d partitions began: %w", id, running, localPartitions, ctx.Err())
		}
	}
}

// lastMessages is within how many of the last ones a mark lies: after it come heartbeats only.
const lastMessages = 64

func (w *topicWatcher) saw(mark string) (found bool, err error) {
	err = w.latest(func(m *message.Message) { found = found || string(m.Key) == mark })
	return found, err
}

// latest goes through the partition's last messages.
func (w *topicWatcher) latest(each func(*message.Message)) error {
	r, err := w.end()
	if err != nil {
		return err
	}
	reader := w.topic.Reader(w.partition, max(r.First, r.End-lastMessages), r.End)
	for {
		m, err := reader.Next(w.ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(m)
	}
}

// messageBytes is what key and value of a change take, the mean of each partition's last ones.
func messageBytes(watchers []watcher) (float64, error) {
	count, bytes := 0, 0
	for _, w := range watchers {
		err := w.(*topicWatcher).latest(func(m *message.Message) {
			if m.Kind == message.Change {
				count, bytes = count+1, bytes+len(m.Key)+len(m.Value)
			}
		})
		if err != nil {
			return 0, err
		}
	}
	if count == 0 {
		return 0, errors.New("the topic ends with no changes")
	}
	return float64(bytes) / float64(count), nil
}

func (w *topicWatcher) end() (kafka.Range, error) {
	ends, err := w.topic.Ends(w.ctx)
	if err != nil {
		return kafka.Range{}, err
	}
	return ends[w.partition], nil
}

// mutations counts records, of which a few are heartbeats.
func (w *topicWatcher) mutations() (int, error) {
	r, err := w.end()
	return int(r.End - w.from), err
}

func (w *topicWatcher) stop() { w.remove() }
