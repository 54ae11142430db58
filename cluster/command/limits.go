package command

// Limits bound what one command may bring, in bytes and counts. They are a node's configuration.
type Limits struct {
	// Key is the longest logical key, SubKey the longest field or member, Value the longest string, field's value or list item.
	Key, SubKey, Value int
	// Batch is the largest number of keys, fields, members or items that one command brings.
	Batch int
	// PFAdd is Batch for PFADD's elements.
	PFAdd int
	// ScanCount is the largest COUNT of the scans: a larger one is taken for it.
	ScanCount int
	// BitOffset is the highest offset of a bit.
	BitOffset int64
	// Keys is the largest number of keys of a partition that KEYS looks at.
	Keys int
	// Event is how large a change may be that carries a whole key.
	Event int
}

// DefaultLimits are ZanKV's.
var DefaultLimits = Limits{
	Key: 10240, SubKey: 10240, Value: 8 << 20, Batch: 5000, PFAdd: 50000, ScanCount: 5000, BitOffset: 2 << 23, Keys: 100_000, Event: 64 << 20,
}

// SetDefaults makes ZanKV's of the limits that are 0.
func (l *Limits) SetDefaults() {
	d := &DefaultLimits
	for _, pair := range [][2]*int{
		{&l.Key, &d.Key}, {&l.SubKey, &d.SubKey}, {&l.Value, &d.Value}, {&l.Batch, &d.Batch}, {&l.PFAdd, &d.PFAdd}, {&l.ScanCount, &d.ScanCount},
		{&l.Keys, &d.Keys}, {&l.Event, &d.Event},
	} {
		if *pair[0] == 0 {
			*pair[0] = *pair[1]
		}
	}
	if l.BitOffset == 0 {
		l.BitOffset = d.BitOffset
	}
}

// limits are the ones of this evaluation.
func (c *Context) limits() *Limits {
	if c.Limits == nil {
		return &DefaultLimits
	}
	return c.Limits
}

// subKeysFit checks the length of fields or members, args[i] for every step-th i from first on, and replies with an error if one is
// too long. It is for before the first Emit.
func (c *Context) subKeysFit(first, step int) bool {
	most := c.limits().SubKey
	for i := first; i < len(c.Args); i += step {
		if len(c.Args[i]) > most {
			c.Reply.Error(ErrSubKeySize)
			return false
		}
	}
	return true
}

// batchFits checks how many elements a command brings, and replies with an error if they are too many.
func (c *Context) batchFits(n int) bool {
	if n > c.limits().Batch {
		c.Reply.Error(ErrBatchSize)
		return false
	}
	return true
}
