package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// badDisk lets system calls of a process fail, from outside and when the test says so: the kernel asks the test about each
// of a few calls that the process makes (seccomp's user notifications, which need no privilege). The process is what is
// shipped and knows nothing of it. Until something is to fail, all goes on as it would.
//
// Process.Wrapper puts this test program before the command line: it asks the kernel for the questions, sends the descriptor
// on which they come over a socket, and becomes the process.
type badDisk struct {
	socket   *net.UnixListener
	problems chan error
	mu       struct {
		sync.Mutex
		fails func(call int, path string) syscall.Errno // 0: goes on
		met   []string
	}
}

const badDiskArg = "behind-bad-disk"

// asked are the calls in question: what makes files longer, and what makes them durable.
var asked = []int{unix.SYS_WRITE, unix.SYS_FALLOCATE, unix.SYS_FDATASYNC, unix.SYS_FSYNC}

func newBadDisk(t *testing.T) *badDisk {
	t.Helper()
	dir, err := os.MkdirTemp("", "zankv-disk") // a socket's path has to be short
	must(t, "folder", err)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	must(t, "listen", err)
	d := &badDisk{socket: l, problems: make(chan error, 16)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.accept()
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		_ = os.RemoveAll(dir)
		select {
		case err := <-d.problems:
			t.Errorf("the kernel's questions: %v", err)
		default:
		}
	})
	return d
}

// wrapper goes before the command line of the process.
func (d *badDisk) wrapper() []string {
	return []string{os.Args[0], badDiskArg, d.socket.Addr().String()}
}

// fail sets what fails from now on: nil is nothing.
func (d *badDisk) fail(f func(call int, path string) syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.fails = f
}

// failed are the calls that did.
func (d *badDisk) failed() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.met
}

// accept serves one life of the process after the other, until the socket is closed; the process must have ended by then.
func (d *badDisk) accept() {
	for {
		conn, err := d.socket.AcceptUnix()
		if err != nil {
			return
		}
		fd, err := receive(conn)
		if err == nil {
			err = d.answer(fd)
			err = errors.Join(err, unix.Close(fd))
		}
		if err != nil {
			d.problems <- err
		}
		_ = conn.Close()
	}
}

func receive(conn *net.UnixConn) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d control messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%d descriptors, %w", len(fds), err)
	}
	return fds[0], nil
}

// The kernel's structures, see linux/seccomp.h.
type (
	seccompData struct {
		nr                 int32
		arch               uint32
		instructionPointer uint64
		args               [6]uint64
	}
	seccompNotif struct {
		id    uint64
		pid   uint32
		flags uint32
		data  seccompData
	}
	seccompAnswer struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

const seccompContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

// answer answers one life's questions.
func (d *badDisk) answer(fd int) error {
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			return err
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			return nil // all threads are gone
		}
		var q seccompNotif
		if err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q)); err != 0 {
			if err == unix.EINTR || err == unix.ENOENT { // the thread that asked is gone
				continue
			}
			return fmt.Errorf("receive a question: %w", err)
		}
		a := seccompAnswer{id: q.id, flags: seccompContinue}
		if errno := d.decide(&q); errno != 0 {
			a.error, a.flags = -int32(errno), 0
		}
		if err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)); err != 0 && err != unix.ENOENT {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

func (d *badDisk) decide(q *seccompNotif) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.fails == nil {
		return 0
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", q.pid, int32(q.data.args[0])))
	if err != nil {
		return 0 // the process is ending
	}
	errno := d.mu.fails(int(q.data.nr), path)
	if errno != 0 {
		d.mu.met = append(d.mu.met, fmt.Sprintf("system call %d on %s: %v", q.data.nr, path, errno))
	}
	return errno
}

func ioctl(fd int, request uint, arg unsafe.Pointer) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
	return errno
}

// behindBadDisk is the wrapper: it doesn't return when all goes well.
func behindBadDisk(args []string) error {
	runtime.LockOSThread() // the filter is this thread's, and so of what it becomes
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: args[0]}); err != nil {
		return fmt.Errorf("connect to %s: %w", args[0], err)
	}
	fd, err := ask()
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return fmt.Errorf("send the descriptor: %w", err)
	}
	return fmt.Errorf("execute %s: %w", args[1], syscall.Exec(args[1], args[1:], os.Environ()))
}

// ask installs the filter, and returns where the kernel asks.
func ask() (int, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no new privileges: %w", err)
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the call's number
	for i, nr := range asked {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jt: uint8(len(asked) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return 0, fmt.Errorf("seccomp filter: %w", errno)
	}
	return int(fd), nil
}

// within is a failure of some calls on files below a folder.
func within(dir string, errno syscall.Errno, calls ...int) func(int, string) syscall.Errno {
	return func(call int, path string) syscall.Errno {
		for _, c := range calls {
			if c == call && strings.HasPrefix(path, dir+"/") {
				return errno
			}
		}
		return 0
	}
}

// ends waits until a process ends by itself.
func ends(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return wait(ctx)
}
