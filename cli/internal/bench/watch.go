package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/feed"
)

// watcher reads one partition's changes as they are made. Marks, keys written before and after a load, tell that it is there and that it
// has seen everything.
type watcher interface {
	// saw says whether the mutation of a mark has come, or why it never will.
	saw(mark string) (bool, error)
	// mutations is how many have come, when the last mark has.
	mutations() (int, error)
	stop()
}

// markKey begins the keys of marks and no other.
const markKey = "mark:"

// watchWait is how long watchers may take to begin, and to end what they have to read.
const watchWait = 30 * time.Second

// watch starts a watcher for each partition, from now on. They are to be stopped even if it fails.
func (f *feedCost) watch(ctx context.Context, how string) (all []watcher, err error) {
	switch how {
	case "none":
		return nil, nil
	case "kafka":
		return f.watchKafka(ctx)
	}
	now := time.Now()
	for p := range localPartitions {
		var w watcher
		if how == "tail" {
			w, err = newTailWatcher(ctx, f.o, f.z.grpc(), p, now)
		} else {
			w, err = newReaderWatcher(ctx, f.z.grpc(), p, now)
		}
		if err != nil {
			return all, err
		}
		all = append(all, w)
	}
	return all, nil
}

// mark writes a mark into each partition and waits until each watcher has seen its own.
func (f *feedCost) mark(ctx context.Context, watchers []watcher) error {
	if len(watchers) == 0 {
		return nil
	}
	f.marks++
	var marks []string
	err := f.z.direct.whileLeadersStay(func() error {
		targets, err := f.z.direct.targets(ctx)
		if err != nil {
			return err
		}
		marks = marks[:0]
		for _, t := range targets {
			marks = append(marks, strings.Replace(t.name(f.marks), "key:", markKey, 1))
			if err := setOne(ctx, t.port, marks[len(marks)-1]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write a mark: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	for i, w := range watchers {
		if err := awaitMark(ctx, w, marks[i]); err != nil {
			return fmt.Errorf("partition %d: the change of %s doesn't come: %w", i, marks[i], err)
		}
	}
	return nil
}

func setOne(ctx context.Context, port int, key string) error {
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), MaxRetries: -1})
	defer func() { _ = c.Close() }()
	return c.Set(ctx, key, value, 0).Err()
}

func awaitMark(ctx context.Context, w watcher, mark string) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := w.saw(mark); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sawAll checks that the watchers have seen the n mutations of a load and the mark of each before and after.
func sawAll(watchers []watcher, n int) error {
	sum := 0
	n += 2 * len(watchers)
	for _, w := range watchers {
		m, err := w.mutations()
		if err != nil {
			return err
		}
		sum += m
	}
	if len(watchers) > 0 && sum < n {
		return fmt.Errorf("watchers saw %d mutations of %d: the feed skips", sum, n)
	}
	return nil
}

// readerWatcher is the feed's client in this process, which checks everything and throws it away.
type readerWatcher struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
	count  atomic.Int64
	mark   atomic.Pointer[string]
}

func newReaderWatcher(ctx context.Context, nodes []string, partition int, from time.Time) (*readerWatcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := feed.Open(ctx, feed.Config{
		Nodes: nodes, Namespace: localNamespace, Partition: uint32(partition), From: feed.AtTime(from), Follow: true, GiveUp: watchWait,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	w := &readerWatcher{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = errors.Join(w.read(r), r.Close())
	}()
	return w, nil
}

func (w *readerWatcher) read(r *feed.Reader) error {
	for {
		item, err := r.Next()
		if err != nil {
			return err
		}
		if item.Event == nil {
			continue
		}
		w.count.Add(int64(len(item.Event.Mutations)))
		for i := range item.Event.Mutations {
			if key := item.Event.Mutations[i].Key; bytes.HasPrefix(key, []byte(markKey)) {
				mark := string(key)
				w.mark.Store(&mark)
			}
		}
	}
}

func (w *readerWatcher) saw(mark string) (bool, error) {
	select {
	case <-w.done:
		return false, w.err
	default:
	}
	last := w.mark.Load()
	return last != nil && *last == mark, nil
}

func (w *readerWatcher) mutations() (int, error) { return int(w.count.Load()), nil }

func (w *readerWatcher) stop() {
	w.cancel()
	<-w.done
}

// tailWatcher is a `zankv-cdc tail --follow` that prints into a file, in memory where there is such a folder: a pipe would wake up this
// program for every line, which is its reader's cost and not the tail's.
type tailWatcher struct {
	p    *process
	file *os.File
}

func newTailWatcher(ctx context.Context, o *Options, nodes []string, partition int, from time.Time) (*tailWatcher, error) {
	file, err := memoryFile(o.Dir)
	if err != nil {
		return nil, err
	}
	w := &tailWatcher{file: file}
	w.p, err = startProcessTo(ctx, file, "zankv-cdc tail", "", 0, o.ZankvCDC, "tail", "--nodes", strings.Join(nodes, ","), "--namespace", localNamespace,
		"--partition", strconv.Itoa(partition), "--from", from.UTC().Format(time.RFC3339Nano), "--follow")
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// memoryFile makes a file without a name, which is gone when nobody has it open any more.
func memoryFile(dir string) (*os.File, error) {
	const memory = "/dev/shm"
	f, err := os.CreateTemp(memory, "zankv-bench-")
	if err != nil {
		f, err = os.CreateTemp(dir, "tail-")
	}
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// saw looks at the last lines.
func (w *tailWatcher) saw(mark string) (bool, error) {
	if err := w.p.alive(); err != nil {
		return false, err
	}
	info, err := w.file.Stat()
	if err != nil {
		return false, err
	}
	end := make([]byte, min(info.Size(), 4096))
	if _, err := w.file.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return false, fmt.Errorf("read the tail's output: %w", err)
	}
	return bytes.Contains(end, []byte(`"`+mark+`"`)), nil
}

// mutations counts the lines.
func (w *tailWatcher) mutations() (n int, err error) {
	b := make([]byte, 1<<20)
	for offset := int64(0); ; {
		m, err := w.file.ReadAt(b, offset)
		n += bytes.Count(b[:m], []byte{'\n'})
		offset += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read the tail's output: %w", err)
		}
	}
}

func (w *tailWatcher) stop() {
	w.p.stop()
	_ = w.file.Close()
}
