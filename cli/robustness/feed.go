package robustness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/zankv/zankv/cdc/event"
)

// Tail is zankv-cdc tail of one partition from the earliest position, as a process of its own, whose lines are checked as they
// come: it must need nobody's help when nodes go and come, and neither lose nor repeat an event.
type Tail struct {
	Partition int
	cmd       *exec.Cmd
	stderr    strings.Builder
	done      chan struct{}
	mu        struct {
		sync.Mutex
		changed chan struct{} // closed and replaced at each event
		fold    event.Fold
		events  int
		last    event.Position
		seen    map[string]event.Stamp // of the last event with each value of a marker key
		err     error
	}
}

// StartTail starts one.
func StartTail(binary string, nodes []string, namespace string, partition int) (*Tail, error) {
	t := newTail(partition)
	t.cmd = exec.Command(binary, "tail", "--nodes", strings.Join(nodes, ","), "--namespace", namespace,
		"--partition", strconv.Itoa(partition), "--from", "earliest", "--follow", "--format", "json")
	t.cmd.Stderr = &t.stderr
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("robustness: %s: %w", binary, err)
	}
	go t.read(out)
	return t, nil
}

func newTail(partition int) *Tail {
	t := &Tail{Partition: partition, done: make(chan struct{})}
	t.mu.changed, t.mu.seen = make(chan struct{}), map[string]event.Stamp{}
	return t
}

// errTailEnded: the process ended though it was to follow.
var errTailEnded = errors.New("robustness: zankv-cdc tail has ended")

func (t *Tail) read(out io.Reader) {
	defer close(t.done)
	err := t.check(out)
	if err == nil {
		err = errTailEnded
	}
	_, _ = io.Copy(io.Discard, out) // so that the process isn't held up: what counts is the first error
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.err = fmt.Errorf("partition %d: after %d events, at %s: %w", t.Partition, t.mu.events, t.mu.last, err)
	close(t.mu.changed)
	t.mu.changed = make(chan struct{})
}

// markerPrefix begins the keys that show how far a feed has come.
const markerPrefix = "marker:"

// maxLine bounds a line: the largest value, escaped, and some.
const maxLine = 64 << 20

// check takes lines until they end, or one breaks a promise.
func (t *Tail) check(out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	var p event.Parser
	var l event.Line
	v := event.Validator{}
	v.From(event.Position{}, event.Chain{})
	var pairs halves
	for lines.Scan() {
		if err := p.Parse(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%w: %s", err, lines.Bytes())
		}
		if err := v.Line(&l, p.Names); err != nil {
			return err
		}
		if err := pairs.line(&l); err != nil {
			return fmt.Errorf("half a transaction: %w", err)
		}
		t.take(&l)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return v.End()
}

func (t *Tail) take(l *event.Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.fold.Apply(&l.Mutation)
	if key := string(l.Mutation.Key); strings.HasPrefix(key, markerPrefix) {
		t.mu.seen[key+"="+string(l.Mutation.Value)] = l.Stamp
	}
	if l.Seq+1 == l.Of {
		t.mu.events++
		t.mu.last = l.Stamp.Position
		close(t.mu.changed)
		t.mu.changed = make(chan struct{})
	}
}

// Await returns where the event stands that wrote a marker, once it has come as a whole.
func (t *Tail) Await(ctx context.Context, key, value string) (event.Stamp, error) {
	for {
		t.mu.Lock()
		at, ok := t.mu.seen[key+"="+value]
		ok = ok && t.mu.last.Compare(at.Position) >= 0
		changed, err := t.mu.changed, t.mu.err
		t.mu.Unlock()
		if ok || err != nil {
			return at, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return at, fmt.Errorf("robustness: the feed of partition %d didn't come to %s=%s: it is at %s: %w", t.Partition, key, value, t.Last(), ctx.Err())
		}
	}
}

// Last is the last whole event's position.
func (t *Tail) Last() event.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.last
}

// Err is what was found wrong so far.
func (t *Tail) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.err
}

// Stop ends the process, and gives what the events fold to. The error is what was found wrong before.
func (t *Tail) Stop() (*event.Fold, error) {
	err := t.Err()
	_ = t.cmd.Process.Kill()
	<-t.done
	_ = t.cmd.Wait() // killed
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, t.stderr.String())
	}
	return &t.mu.fold, err
}
