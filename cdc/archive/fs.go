package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// fileSystem is what an archive needs of one. A test passes one that fails or forgets; osFiles is the real one. Errors wrap fs.ErrNotExist and
// fs.ErrExist where they mean that.
type fileSystem interface {
	// Create makes a file that isn't there yet, to be appended to.
	Create(name string) (file, error)
	Open(name string) (reading, error)
	Rename(from, to string) error
	Remove(name string) error
	// List gives the files of a folder, in any order.
	List(folder string) ([]entry, error)
	// MakeFolder makes a folder, durably, and those above it.
	MakeFolder(folder string) error
	// SyncFolder makes names created, renamed and removed in it durable.
	SyncFolder(folder string) error
	// Date sets when a file was modified.
	Date(name string, modified time.Time) error
}

type entry struct {
	name     string
	size     int64
	modified time.Time
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// reading is a file that is read. Sync makes durable what was read of it, whoever wrote it.
type reading interface {
	io.Reader
	io.ReaderAt
	Size() (int64, error)
	Sync() error
	Close() error
}

type osFiles struct{}

type osReading struct{ *os.File }

func (f osReading) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFiles) Create(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFiles) Open(name string) (reading, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osReading{f}, nil
}

func (osFiles) Rename(from, to string) error        { return os.Rename(from, to) }
func (osFiles) Remove(name string) error            { return os.Remove(name) }
func (osFiles) Date(name string, t time.Time) error { return os.Chtimes(name, time.Time{}, t) }

func (osFiles) List(folder string) ([]entry, error) {
	names, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, n := range names {
		info, err := n.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, entry{name: n.Name(), size: info.Size(), modified: info.ModTime()})
	}
	return out, nil
}

func (o osFiles) MakeFolder(folder string) error {
	if info, err := os.Stat(folder); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(folder)
	if err := o.MakeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncFolder(parent)
}

func (osFiles) SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
