package tail

import (
	"sync"

	"github.com/zankv/zankv/cdc/event"
)

// counter holds what was printed against what was taken, in bytes.
type counter struct {
	mu     sync.Mutex
	ahead  int
	record int
}

func (c *counter) printed(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += n
	c.record = max(c.record, c.ahead)
}

func (c *counter) taken(n int) { c.printed(-n) }

func (c *counter) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

// counting is a format that counts.
type counting struct {
	Format
	n *counter
}

func (f counting) Event(dst []byte, st *event.Stamp, ev *event.Event, names event.Names) ([]byte, bool, error) {
	before := len(dst)
	dst, shown, err := f.Format.Event(dst, st, ev, names)
	f.n.printed(len(dst) - before)
	return dst, shown, err
}
