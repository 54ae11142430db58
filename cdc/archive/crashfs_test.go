package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// crashFS is a file system in memory that knows what is durable, fails its n-th operation, and can be cloned as it may be after a power failure.
type crashFS struct {
	mu      sync.Mutex
	names   map[string]*crashNode
	durable map[string]*crashNode
	pending []func(map[string]*crashNode) // changes of names since the last SyncFolder
	ops     int
	failAt  int // the operation that fails, 0 none
	failed  string
	// failSyncs has every sync of a file fail; bytesRead counts.
	failSyncs bool
	bytesRead int
	now       time.Time
}

type crashNode struct {
	data     []byte
	synced   int          // what is durable for sure
	lost     map[int]bool // pages that a failed sync left in memory only: no later one writes them
	modified time.Time
}

const crashPage = 128

var errInjected = errors.New("injected failure")

func newCrashFS() *crashFS {
	return &crashFS{names: map[string]*crashNode{}, durable: map[string]*crashNode{}, now: time.Unix(1e9, 0)}
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

func (c *crashFS) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *crashFS) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *crashFS) change(f func(map[string]*crashNode)) {
	f(c.names)
	c.pending = append(c.pending, f)
}

func (c *crashFS) Create(name string) (file, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("create " + name); err != nil {
		return nil, err
	}
	if c.names[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	n := &crashNode{modified: c.now, lost: map[int]bool{}}
	c.change(func(m map[string]*crashNode) { m[name] = n })
	return &crashWriting{c, n, name}, nil
}

func (c *crashFS) Open(name string) (reading, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("open " + name); err != nil {
		return nil, err
	}
	n := c.names[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &crashReading{fs: c, n: n, name: name}, nil
}

func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("rename " + from); err != nil {
		return err
	}
	n := c.names[from]
	if n == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	c.change(func(m map[string]*crashNode) { m[to] = n; delete(m, from) })
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("remove " + name); err != nil {
		return err
	}
	if c.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	c.change(func(m map[string]*crashNode) { delete(m, name) })
	return nil
}

func (c *crashFS) Date(name string, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("date " + name); err != nil {
		return err
	}
	c.names[name].modified = t
	return nil
}

func (c *crashFS) List(folder string) ([]entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("list"); err != nil {
		return nil, err
	}
	var out []entry
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		n := c.names[name]
		if filepath.Dir(name) == folder {
			out = append(out, entry{filepath.Base(name), int64(len(n.data)), n.modified})
		}
	}
	return out, nil
}

func (c *crashFS) MakeFolder(string) error { return nil }

func (c *crashFS) SyncFolder(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("sync folder"); err != nil {
		return err
	}
	c.durable = maps.Clone(c.names)
	c.pending = nil
	return nil
}

// crash returns the file system as it may be after a power failure: of what wasn't synced, anything may be there or not. With keep, everything is
// there: only the process died.
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
	out.now = c.now
	for name, node := range names {
		data := bytes.Clone(node.data)
		if !keep {
			data = node.survive(rng)
		}
		out.names[name] = &crashNode{data: data, synced: len(data), modified: node.modified, lost: map[int]bool{}}
	}
	out.durable = maps.Clone(out.names)
	return out
}

// survive is what a power failure leaves: what was synced, and pages of the rest, or zeros in their place.
func (n *crashNode) survive(rng *rand.Rand) []byte {
	size := n.synced + rng.IntN(len(n.data)-n.synced+1)
	data := bytes.Clone(n.data[:size])
	odds := rng.IntN(4)
	for page := 0; page*crashPage < size; page++ {
		from, to := page*crashPage, min((page+1)*crashPage, size)
		if n.lost[page] || to > n.synced && rng.IntN(3) >= odds {
			clear(data[max(from, n.keptIn(page)):to])
		}
	}
	return data
}

// keptIn is up to where a page was synced before it was lost.
func (n *crashNode) keptIn(page int) int {
	if n.lost[page] {
		return page * crashPage
	}
	return n.synced
}

type crashWriting struct {
	fs   *crashFS
	n    *crashNode
	name string
}

func (f *crashWriting) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.op("write " + f.name)
	if err != nil {
		b = b[:len(b)/2] // as a full disk does
	}
	f.n.data = append(f.n.data, b...)
	f.n.modified = f.fs.now
	return len(b), err
}

// Sync that fails leaves the pages in memory, where they count as written: as Linux does.
func (f *crashWriting) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.op("sync " + f.name)
	if f.fs.failSyncs {
		err = errInjected
	}
	if err != nil {
		for page := (f.n.synced + crashPage - 1) / crashPage; page*crashPage < len(f.n.data); page++ {
			f.n.lost[page] = true
		}
		return err
	}
	f.n.synced = len(f.n.data)
	return nil
}

func (f *crashWriting) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.op("close " + f.name)
}

type crashReading struct {
	fs   *crashFS
	n    *crashNode
	name string
	off  int64
}

func (f *crashReading) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *crashReading) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op("read " + f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[off:])
	f.fs.bytesRead += n
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashReading) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.n.data)), f.fs.op("stat " + f.name)
}

func (f *crashReading) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.op("sync " + f.name); err != nil {
		return err
	}
	f.n.synced = len(f.n.data)
	return nil
}

func (f *crashReading) Close() error { return nil }

// dump names the files with their sizes, for messages.
func (c *crashFS) dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		fmt.Fprintf(&out, "%s %d\n", filepath.Base(name), len(c.names[name].data))
	}
	return out.String()
}
