package wal

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"
)

// crashFS is a file system in memory that knows what is durable, can fail its n-th operation, and can be cloned as it
// might be after a power failure.
type crashFS struct {
	mu      sync.Mutex
	names   map[string]*crashNode
	durable map[string]*crashNode
	pending []func(map[string]*crashNode) // changes of names since the last SyncDir
	ops     int
	failAt  int // the operation that fails, 0 none
	failed  string
}

type crashNode struct {
	data    []byte
	durable []byte
	dirty   map[int64]bool // pages written since the last sync
}

const crashPage = 512

var errInjected = errors.New("injected failure")

func newCrashFS() *crashFS {
	return &crashFS{names: map[string]*crashNode{}, durable: map[string]*crashNode{}}
}

// op counts an operation and says whether it is the one that fails.
func (c *crashFS) op(what string) error {
	c.ops++
	if c.ops == c.failAt {
		c.failed = what
		return fmt.Errorf("%s: %w", what, errInjected)
	}
	return nil
}

// node finds a file. A log that is open prepares others meanwhile.
func (c *crashFS) node(name string) *crashNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[name]
}

func (c *crashFS) change(f func(map[string]*crashNode)) {
	f(c.names)
	c.pending = append(c.pending, f)
}

func (c *crashFS) Open(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("open " + name); err != nil {
		return nil, err
	}
	n := c.names[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: no such file", name)
	}
	return &crashFile{c, n, name}, nil
}

func (c *crashFS) Create(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("create " + name); err != nil {
		return nil, err
	}
	n := &crashNode{dirty: map[int64]bool{}}
	c.change(func(m map[string]*crashNode) { m[name] = n })
	return &crashFile{c, n, name}, nil
}

func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("rename " + from); err != nil {
		return err
	}
	if c.names[from] == nil {
		return fmt.Errorf("rename %s: no such file", from)
	}
	c.change(func(m map[string]*crashNode) { m[to] = m[from]; delete(m, from) })
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("remove " + name); err != nil {
		return err
	}
	c.change(func(m map[string]*crashNode) { delete(m, name) })
	return nil
}

func (c *crashFS) List(string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("list"); err != nil {
		return nil, err
	}
	var out []string
	for n := range c.names {
		out = append(out, filepath.Base(n))
	}
	return out, nil
}

func (c *crashFS) MkdirAll(string) error { return nil }

func (c *crashFS) SyncDir(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("sync directory"); err != nil {
		return err
	}
	c.durable = maps.Clone(c.names)
	c.pending = nil
	return nil
}

func (c *crashFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// crash returns the file system as it may be after a power failure: of what wasn't synced, anything may be there or
// not. With keep, everything is there: only the process died.
func (c *crashFS) crash(rng *rand.Rand, keep bool) *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := maps.Clone(c.durable)
	n := len(c.pending)
	if !keep {
		n = rng.IntN(n + 1)
	}
	for _, f := range c.pending[:n] {
		f(names)
	}
	out := newCrashFS()
	for name, node := range names {
		if node == nil {
			continue
		}
		data := node.data
		if !keep {
			data = node.survive(rng)
		}
		data = append([]byte(nil), data...)
		out.names[name] = &crashNode{data: data, durable: append([]byte(nil), data...), dirty: map[int64]bool{}}
	}
	out.durable = maps.Clone(out.names)
	return out
}

func (n *crashNode) survive(rng *rand.Rand) []byte {
	data := append([]byte(nil), n.durable...)
	if rng.IntN(2) == 0 && len(n.data) > len(data) {
		data = append(data, make([]byte, len(n.data)-len(data))...)
	}
	odds := rng.IntN(4) // of 3: how likely a page is on disk
	for page := range n.dirty {
		off := page * crashPage
		if rng.IntN(3) < odds && off < int64(len(data)) {
			copy(data[off:], n.data[off:min(int64(len(n.data)), off+crashPage)])
		}
	}
	return data
}

type crashFile struct {
	fs   *crashFS
	n    *crashNode
	name string
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op("read " + f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.op("write " + f.name)
	if err != nil {
		b = b[:len(b)/2] // as a full disk does
	}
	if need := off + int64(len(b)); need > int64(len(f.n.data)) {
		f.n.data = append(f.n.data, make([]byte, need-int64(len(f.n.data)))...)
	}
	copy(f.n.data[off:], b)
	for p := off / crashPage; p*crashPage < off+int64(len(b)); p++ {
		f.n.dirty[p] = true
	}
	return len(b), err
}

func (f *crashFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op("sync " + f.name); err != nil {
		return err
	}
	if len(f.n.durable) < len(f.n.data) {
		f.n.durable = append(f.n.durable, make([]byte, len(f.n.data)-len(f.n.durable))...)
	}
	for p := range f.n.dirty {
		off := p * crashPage
		end := min(int64(len(f.n.data)), off+crashPage)
		copy(f.n.durable[off:end], f.n.data[off:end])
	}
	clear(f.n.dirty)
	return nil
}

func (f *crashFile) Allocate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op("allocate " + f.name); err != nil {
		return err
	}
	if n := size - int64(len(f.n.data)); n > 0 {
		f.n.data = append(f.n.data, make([]byte, n)...)
	}
	return nil
}

func (f *crashFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *crashFile) Close() error { return nil }
