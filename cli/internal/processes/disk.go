package processes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Disk is a file system of a few megabytes that only the processes put on it see, and that a test can fill. It is memory,
// mounted in a mount namespace of its own: a process that holds the namespace keeps the files from one life of the others to
// the next, and when it ends nothing is left. Root needs no more; anybody else needs that the kernel lets users make namespaces.
type Disk struct {
	Dir    string // where the processes on it see it
	holder *exec.Cmd
	hold   io.Closer // the holder ends when it is closed, and so when the test process ends
}

// NewDisk makes a disk of some bytes at dir, which it creates.
func NewDisk(dir string, size int64) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("processes: disk: %w", err)
	}
	d := &Disk{Dir: dir}
	const script = `mount -t tmpfs -o "size=$1,mode=0700" zankv-disk "$2" && echo mounted && exec cat`
	d.holder = exec.Command("sh", "-c", script, "disk", strconv.FormatInt(size, 10), dir)
	d.holder.Stderr = os.Stderr
	d.holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if !root() {
		attr := d.holder.SysProcAttr
		attr.Cloneflags, attr.Unshareflags = syscall.CLONE_NEWUSER|syscall.CLONE_NEWNS, 0
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := d.mount(); err != nil {
		return nil, fmt.Errorf("processes: disk at %s: %w (it needs root, or user namespaces)", dir, err)
	}
	return d, nil
}

func root() bool { return os.Geteuid() == 0 }

// mount starts the holder, and returns when it has mounted.
func (d *Disk) mount() error {
	in, err := d.holder.StdinPipe()
	if err != nil {
		return err
	}
	d.hold = in
	out, err := d.holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.holder.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return errors.Join(fmt.Errorf("the holder says %q: %w", line, err), in.Close(), d.holder.Wait())
	}
	return nil
}

// wrapper goes before the command line of a process that is to see the disk.
func (d *Disk) wrapper() []string {
	line := []string{"nsenter", "--target", strconv.Itoa(d.holder.Process.Pid), "--mount"}
	if !root() {
		line = append(line, "--user", "--preserve-credentials")
	}
	return append(line, "--")
}

// Path is where this process finds what those on the disk see at name, a path below Dir.
func (d *Disk) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder.Process.Pid), "root", name)
}

// ballast takes what nobody else is to have.
func (d *Disk) ballast() string { return d.Path(filepath.Join(d.Dir, "ballast")) }

// Fill takes all space that is left.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("processes: disk: %w", err)
	}
	defer f.Close()
	for b := make([]byte, 64<<10); ; {
		if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("processes: disk: %w", err)
		}
	}
}

// Free gives back what Fill has taken.
func (d *Disk) Free() error {
	if err := os.Remove(d.ballast()); err != nil {
		return fmt.Errorf("processes: disk: %w", err)
	}
	return nil
}

// Close drops the disk with all that is on it; the processes on it have to have ended.
func (d *Disk) Close() error {
	return errors.Join(d.hold.Close(), d.holder.Wait())
}
