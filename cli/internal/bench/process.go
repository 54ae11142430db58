package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child of this program.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // set before done is closed

	output struct {
		sync.Mutex
		tail []string
	}
}

// tailLines is how much of a child's output an error shows.
const tailLines = 20

// starter starts all children from one thread that lives as long as the program: on Linux a child's death signal is tied
// to the thread that started it, not to the process.
var starter = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// startProcess starts a child. ready, if not empty, is a text in the line of its output to wait for.
func startProcess(ctx context.Context, name, ready string, wait time.Duration, bin string, args ...string) (*process, error) {
	return startProcessTo(ctx, nil, name, ready, wait, bin, args...)
}

// startProcessTo is startProcess with a file for the child's standard output, unless it is nil; then only what it writes to standard error is
// looked at.
func startProcessTo(ctx context.Context, out *os.File, name, ready string, wait time.Duration, bin string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(bin, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = childAttributes()
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if out != nil {
		p.cmd.Stdout = out
	}
	result := make(chan error)
	starter() <- func() { result <- p.cmd.Start() }
	if err := <-result; err != nil {
		return nil, fmt.Errorf("%s: %w: is it installed and built?", name, err)
	}
	seen := make(chan struct{})
	go p.read(r, ready, seen)
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		close(p.done)
	}()
	if ready == "" {
		return p, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-seen:
		return p, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.done:
		err = fmt.Errorf("%s has ended (%v) before it was ready; its last words:\n%s", name, p.err, p.lastWords())
	case <-timer.C:
		err = fmt.Errorf("%s isn't ready after %s; its last words:\n%s", name, wait, p.lastWords())
	}
	p.stop()
	return nil, err
}

// read keeps the last lines and closes seen at the first with the text.
func (p *process) read(r io.Reader, text string, seen chan struct{}) {
	lines := bufio.NewReader(r)
	found := text == ""
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" {
			p.output.Lock()
			p.output.tail = append(p.output.tail, line)
			p.output.tail = p.output.tail[max(0, len(p.output.tail)-tailLines):]
			p.output.Unlock()
		}
		if !found && strings.Contains(line, text) {
			found = true
			close(seen)
		}
		if err != nil {
			return
		}
	}
}

func (p *process) lastWords() string {
	p.output.Lock()
	defer p.output.Unlock()
	return "  " + strings.Join(p.output.tail, "\n  ")
}

// stop asks the child to end, and makes it after some seconds. nil is a child that was never started.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(15 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// alive returns an error with the child's last words if it has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended (%v); its last words:\n%s", p.name, p.err, p.lastWords())
	default:
		return nil
	}
}

// runTool runs a child to its end and returns what it has written to its output.
func runTool(ctx context.Context, bin string, args ...string) (string, error) {
	var out strings.Builder
	if err := runTo(ctx, &out, bin, args...); err != nil {
		return "", fmt.Errorf("%w%s", err, last(out.String()))
	}
	return out.String(), nil
}

// runTo runs a child to its end, with its output to a writer, or thrown away if that is nil.
func runTo(ctx context.Context, out io.Writer, bin string, args ...string) error {
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.SysProcAttr = childAttributes()
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = out, &errs
	result := make(chan error)
	starter() <- func() { result <- cmd.Start() }
	err := <-result
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", bin, strings.Join(args, " "), errors.Join(ctx.Err(), err), errs.String())
	}
	return nil
}

func last(s string) string { return s[max(0, len(s)-500):] }

// binary checks that a program is there before anything is started.
func binary(path, advice string) error {
	if _, err := exec.LookPath(path); err != nil {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return nil
}

// freePorts finds a block of n ports, from the first one returned on, on which nothing listens on the loopback.
func freePorts(n int) (int, error) {
	start := 20000 + os.Getpid()%100*100
	for base := start; base < 32000-n; base += n {
		if allFree(base, n) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row from %d to 32000", n, start)
}

func allFree(base, n int) bool {
	for p := base; p < base+n; p++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
