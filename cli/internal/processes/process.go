package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is one command that can be started again after it ended.
type Process struct {
	Name    string
	LogFile string   // both outputs, appended to by each life
	Wrapper []string // put before the command line: a program that ends by executing the rest
	path    string
	args    []string
	env     []string // beside this process's

	cmd  *exec.Cmd
	done chan struct{} // closed when the current life has ended
	err  error         // how it ended
}

// New describes a process; Start starts it.
func New(name, logFile, path string, args ...string) *Process {
	return &Process{Name: name, LogFile: logFile, path: path, args: args}
}

// PID is the current life's process id; 0 between lives.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Start begins a life.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("processes: %s: %w", p.Name, err)
	}
	defer log.Close() // the process has its own descriptor
	line := slices.Concat(p.Wrapper, []string{p.path}, p.args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // an aborted test leaves nothing behind
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("processes: %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		p.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// Kill ends the process as a power switch would, and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the process to end. It is an error if it doesn't before ctx ends, or says that something failed.
func (p *Process) Stop(ctx context.Context) error {
	if p.cmd == nil {
		return nil
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("processes: %s doesn't end on SIGTERM: %w", p.Name, ctx.Err())
	}
	p.cmd = nil
	if p.err != nil {
		return fmt.Errorf("processes: %s: %w\n%s", p.Name, p.err, p.LogTail())
	}
	return nil
}

func (p *Process) end(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	p.Signal(sig)
	<-p.done
	p.cmd = nil
}

// Wait returns how the process ended by itself: nil is exit code 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		p.cmd = nil
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("processes: %s goes on: %w", p.Name, ctx.Err())
	}
}

// Signal sends a signal, of which one that comes too late is lost.
func (p *Process) Signal(sig syscall.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(fmt.Sprintf("processes: %s: signal %v: %v", p.Name, sig, err)) // our own child
	}
}

// poll is how often a process is asked whether it is ready, and attempt how long one question may take.
const (
	poll    = 50 * time.Millisecond
	attempt = 2 * time.Second
)

// until asks a process again and again, and returns when it has answered without an error.
func (p *Process) until(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		err := ask(one)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended():
			return fmt.Errorf("processes: %s has ended\n%s", p.Name, p.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("processes: %s isn't ready: last answer: %w\n%s", p.Name, err, p.LogTail())
		case <-tick.C:
		}
	}
}

// Ended is closed when the process has ended, whoever did it; nil if it isn't started.
func (p *Process) Ended() <-chan struct{} {
	if p.cmd == nil {
		return nil
	}
	return p.done
}

// logTail is how much of a log is shown.
const logTail = 4096

// LogTail is the end of what it has written.
func (p *Process) LogTail() string {
	b, err := os.ReadFile(p.LogFile)
	if err != nil {
		return err.Error()
	}
	return p.Name + ":\n" + strings.ToValidUTF8(string(b[max(0, len(b)-logTail):]), "?")
}
