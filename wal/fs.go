package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// FS is what the log needs of a file system. A test passes one that fails or forgets; OS is the real one.
type FS interface {
	// Open opens an existing file for reading and writing, Create makes an empty one.
	Open(name string) (File, error)
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List names the files of dir, without their directory, in any order.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	// SyncDir makes names created, renamed and removed in dir durable.
	SyncDir(dir string) error
	// Lock keeps other processes out until it is closed.
	Lock(name string) (io.Closer, error)
}

// File is one open file. ReadAt and WriteAt may be called at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes content (and the size needed to read it) durable: fdatasync.
	Sync() error
	// Allocate makes the file size bytes long, with disk space for all of them. It never shortens it.
	Allocate(size int64) error
	Size() (int64, error)
}

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) Open(name string) (File, error) { return wrapOS(os.OpenFile(name, os.O_RDWR, 0o600)) }

func (osFS) Create(name string) (File, error) {
	return wrapOS(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600))
}

func wrapOS(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o700) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: another process has this log open: %w", name, err), f.Close())
	}
	return f, nil
}

func (f osFile) Sync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Allocate falls back to a plain (sparse) length where the file system has no fallocate.
func (f osFile) Allocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	for {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
		if err != syscall.EINTR {
			break
		}
	}
	if err == syscall.EOPNOTSUPP || err == syscall.ENOSYS {
		return f.Truncate(size)
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
