package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// objects are OBJECT and MEMORY: what Redis tells of how it keeps a key, as far as it means something here.
var objects = []*Spec{
	{Name: "object", Arity: -2, Scope: ScopeConnection, Summary: "Commands about how keys are kept.", Since: "2.2.3", Group: "generic", Complexity: "Depends on subcommand.", Subcommands: []*Spec{
		{Name: "object|encoding", Arity: 3, Flags: ReadOnly | ManyRows, FirstKey: 2, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runObjectEncoding, Categories: []string{"keyspace"},
			Tips: []string{"nondeterministic_output"}, KeyAccess: "RO", Summary: "Returns the encoding that Redis, with its default settings, would keep such a key in.", Since: "2.2.3", Group: "generic", Complexity: "O(1)"},
		{Name: "object|freq", Arity: 3, Flags: ReadOnly, FirstKey: 2, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runObjectFreq, Categories: []string{"keyspace"},
			Tips: []string{"nondeterministic_output"}, KeyAccess: "RO", Summary: "Answers as Redis does when it doesn't count how often keys are used.", Since: "4.0.0", Group: "generic", Complexity: "O(1)"},
		{Name: "object|help", Arity: 2, Flags: Loading | Stale, Scope: ScopeConnection, Categories: []string{"keyspace"},
			Summary: "Lists the subcommands.", Since: "6.2.0", Group: "generic", Complexity: "O(1)"},
		{Name: "object|idletime", Arity: 3, Flags: ReadOnly, FirstKey: 2, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runObjectIdleTime, Categories: []string{"keyspace"},
			Tips: []string{"nondeterministic_output"}, KeyAccess: "RO", Summary: "Returns the seconds since the key was last written; reads aren't kept.", Since: "2.2.3", Group: "generic", Complexity: "O(1)"},
		{Name: "object|refcount", Arity: 3, Flags: ReadOnly, FirstKey: 2, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runObjectRefCount, Categories: []string{"keyspace"},
			Tips: []string{"nondeterministic_output"}, KeyAccess: "RO", Summary: "Returns 1: nothing is shared.", Since: "2.2.3", Group: "generic", Complexity: "O(1)"},
	}},
	{Name: "memory", Arity: -2, Scope: ScopeConnection, Summary: "Commands about memory.", Since: "4.0.0", Group: "server", Complexity: "Depends on subcommand.", Subcommands: []*Spec{
		serverSpec("memory|doctor", 2, 0, "4.0.0", "O(1)", "Says in words how the node's memory is.", "nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
		serverSpec("memory|malloc-stats", 2, 0, "4.0.0", "O(1)", "Returns the allocator's figures.", "nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
		serverSpec("memory|purge", 2, 0, "4.0.0", "O(N), N being the bytes of the heap", "Gives unused memory back to the system.", "request_policy:all_shards", "response_policy:all_succeeded"),
		serverSpec("memory|stats", 2, 0, "4.0.0", "O(1)", "Returns figures of the node's memory.", "nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
		{Name: "memory|help", Arity: 2, Flags: Loading | Stale, Scope: ScopeConnection, Summary: "Lists the subcommands.", Since: "4.0.0", Group: "server", Complexity: "O(1)"},
		{Name: "memory|usage", Arity: -3, Flags: ReadOnly | ManyRows, FirstKey: 2, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runMemoryUsage,
			KeyAccess: "RO", Summary: "Returns about how many bytes a key's rows take, before they are compressed.", Since: "4.0.0", Group: "server", Complexity: "O(N), N being the number of samples"},
	}},
}

const errObjectFreq = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

// lookObject reads the key of a subcommand; there is false, and null replied, when it is absent.
func (c *Context) lookObject() (r *row, there bool, err error) {
	r, err = c.look(c.Args[2])
	if err == nil && !r.live {
		c.Reply.Null()
	}
	return r, err == nil && r.live, err
}

func runObjectFreq(c *Context) error {
	_, there, err := c.lookObject()
	if there {
		c.Reply.Error(errObjectFreq)
	}
	return err
}

func runObjectIdleTime(c *Context) error {
	r, there, err := c.lookObject()
	if there {
		c.Reply.Int(max(0, (c.Now-r.Version.Time/1e6)/1000))
	}
	return err
}

func runObjectRefCount(c *Context) error {
	_, there, err := c.lookObject()
	if there {
		c.Reply.Int(1)
	}
	return err
}

// Bounds up to which Redis keeps a collection in its packed form: elements, and bytes of each.
const (
	packedElements = 128
	packedBytes    = 64
	intsetElements = 512
	packedList     = 8 << 10 // bytes of all items
	embedded       = 44      // bytes of a string that is kept together with its header
)

// runObjectEncoding says what Redis, with its default settings, makes of such a value when it is loaded. (One that grows and shrinks keeps
// the form that it grew into there; here it depends on the value alone.)
func runObjectEncoding(c *Context) error {
	r, there, err := c.lookObject()
	if !there {
		return err
	}
	meta := r.Meta
	switch meta.Type {
	case event.TypeString:
		c.Reply.BulkString(stringEncoding(meta.Value))
	case event.TypeBitmap:
		c.Reply.BulkString("raw")
	default:
		var name string
		if name, err = c.encoding(c.Args[2], &meta); err == nil {
			c.Reply.BulkString(name)
		}
	}
	return err
}

func stringEncoding(value []byte) string {
	if _, ok := parseInt(value); ok {
		return "int"
	}
	if len(value) <= embedded {
		return "embstr"
	}
	return "raw"
}

// forms are the packed and the large form of each type.
var forms = map[event.Type][2]string{
	event.TypeHash: {"listpack", "hashtable"}, event.TypeSet: {"listpack", "hashtable"}, event.TypeZSet: {"listpack", "skiplist"}, event.TypeList: {"listpack", "quicklist"},
}

func (c *Context) encoding(key []byte, m *event.Meta) (string, error) {
	small, ints, size, n := true, m.Type == event.TypeSet && m.Count <= intsetElements, 0, 0
	if !ints && m.Count > packedElements && m.Type != event.TypeList {
		return forms[m.Type][1], nil
	}
	err := c.View.Elements(key, m, Range{}, func(sub []byte, e *Element) bool {
		n++
		size += len(e.Value)
		if m.Type != event.TypeList {
			small = small && len(sub) <= packedBytes && len(e.Value) <= packedBytes
		}
		if ints {
			_, ints = parseInt(sub)
		}
		return (small || ints) && size <= packedList
	})
	if ints {
		return "intset", err
	}
	if m.Type == event.TypeList && size > packedList || m.Type != event.TypeList && (!small || n > packedElements) {
		return forms[m.Type][1], err
	}
	return forms[m.Type][0], err
}

const (
	// rowOverhead is about what a row takes besides its content: format, versions, the engine's own.
	rowOverhead = 32
	// defaultSamples is how many elements MEMORY USAGE measures when it isn't told.
	defaultSamples = 5
)

func runMemoryUsage(c *Context) error {
	samples := int64(defaultSamples)
	for i := 3; i < len(c.Args); i++ {
		if !equalFold(c.Args[i], "samples") || i+1 == len(c.Args) {
			c.Reply.Error(ErrSyntax)
			return nil
		}
		i++
		n, ok := c.intArg(i)
		if !ok {
			return nil
		}
		if n < 0 {
			c.Reply.Error(ErrSyntax)
			return nil
		}
		samples = n
	}
	if samples == 0 {
		samples = math.MaxInt64
	}
	r, there, err := c.lookObject()
	if !there {
		return err
	}
	bytes, err := c.rowBytes(c.Args[2], r.Meta, samples)
	if err == nil {
		c.Reply.Int(bytes)
	}
	return err
}

// rowBytes estimates what a key's rows take, from so many of its elements.
func (c *Context) rowBytes(key []byte, m event.Meta, samples int64) (int64, error) {
	meta := int64(len(key) + len(m.Value) + rowOverhead)
	if m.Type == event.TypeString {
		return meta, nil
	}
	rows := int64(1)
	if m.Type == event.TypeZSet {
		rows = 2
	}
	seen, size := int64(0), int64(0)
	err := c.View.Elements(key, &m, Range{}, func(sub []byte, e *Element) bool {
		seen++
		size += rows*int64(len(key)+len(sub)+rowOverhead) + int64(len(e.Value))
		return seen < samples
	})
	count := int64(m.Count)
	if m.Type == event.TypeBitmap || count < seen {
		count = seen
	}
	if seen == 0 {
		return meta, err
	}
	return meta + size*count/seen, err
}
