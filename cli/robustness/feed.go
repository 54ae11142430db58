package robustness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/zankv/zankv/cdc/event"
)

// Tail is zankv-cdc tail of one partition from the earliest position, as a process of its own, whose lines are checked as they
// come: it must need nobody's help when nodes go and come, and neither lose nor repeat an event.
type Tail struct {
	*Stream
	cmd    *exec.Cmd
	stderr strings.Builder
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
	return &Tail{Stream: newStream(partition)}
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
	t.fail(err)
}

// maxLine bounds a line: the largest value, escaped, and some.
const maxLine = 64 << 20

// check takes lines until they end, or one breaks a promise.
func (t *Tail) check(out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := t.line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return t.validator.End()
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
