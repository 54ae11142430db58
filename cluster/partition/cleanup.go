package partition

import (
	"fmt"
	"time"
)

// Rows that nothing refers to any more are removed in slices between other work: a slice takes cleanSlice, or one round of
// cleanRows if that is more, and the next comes cleanPause later, so that at most a quarter of the goroutine's time goes there.
const (
	cleanRows  = 256
	cleanSlice = 2 * time.Millisecond
	cleanPause = 6 * time.Millisecond
)

// cleaning is when the next slice is due.
type cleaning struct {
	next  time.Time
	timer *time.Timer // wakes the goroutine for it; nil until there was anything to clean
	armed bool
}

// wake is what the goroutine waits for; nil, which never comes, while there is nothing to clean.
func (c *cleaning) wake() <-chan time.Time {
	if !c.armed {
		return nil
	}
	return c.timer.C
}

func (c *cleaning) arm(wait time.Duration) {
	if c.armed {
		return
	}
	c.armed = true
	if c.timer == nil {
		c.timer = time.NewTimer(wait)
		return
	}
	c.timer.Reset(wait)
}

// cleanUp does a slice if there is something to clean and it is time.
func (r *Replica) cleanUp() error {
	if !r.store.CleanDue() {
		return nil
	}
	start := time.Now()
	if wait := r.cleaning.next.Sub(start); wait > 0 {
		r.cleaning.arm(wait)
		return nil
	}
	for more := true; more && time.Since(start) < cleanSlice; {
		var err error
		if more, err = r.store.Clean(cleanRows); err != nil {
			return fmt.Errorf("partition %s: %w", r.name, err)
		}
	}
	r.cleaning.next = time.Now().Add(cleanPause)
	if r.store.CleanDue() {
		r.cleaning.arm(cleanPause)
	}
	return nil
}
