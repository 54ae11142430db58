package command

import (
	"errors"
	"math"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/rdb"
)

// dumps are the commands that move values from and to Redis, serialised.
var dumps = []*Spec{
	{Name: "dump", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runDump, Categories: []string{"keyspace"},
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access",
		Summary: "Returns a key's value in Redis's serialised form.", Since: "2.6.0", Group: "generic", Complexity: "O(N), N being the size of the value"},
	{Name: "restore", Arity: -4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runRestore, Categories: []string{"keyspace", "dangerous"},
		KeyAccess: "OW update", Summary: "Makes a key of a value in Redis's serialised form.", Since: "2.6.0", Group: "generic", Complexity: "O(N log N), N being the number of elements"},
}

func runDump(c *Context) error {
	key := c.Args[1]
	r, err := c.look(key)
	if err != nil || !r.live {
		c.Reply.Null()
		return err
	}
	if r.Type == event.TypeString || r.Type == event.TypeBitmap {
		if r, _, err = c.lookString(key); err != nil {
			return err
		}
		w := rdb.Begin(nil, event.TypeString, 1)
		w.String(r.Value)
		c.Reply.Bulk(w.End())
		return nil
	}
	w := rdb.Begin(nil, r.Type, r.Count)
	meta, limit := r.Meta, c.limits().Event
	err = c.View.Elements(key, &meta, Range{}, func(sub []byte, e *Element) bool {
		dumpElement(w, meta.Type, sub, e)
		return w.Len() <= limit
	})
	switch {
	case err != nil:
	case w.Len() > limit:
		c.Reply.Error("ERR the serialised value is larger than one event may be (max_event_bytes)")
	default:
		c.Reply.Bulk(w.End())
	}
	return err
}

func dumpElement(w *rdb.Writer, t event.Type, sub []byte, e *Element) {
	switch t {
	case event.TypeList:
		w.String(e.Value)
	case event.TypeHash:
		w.String(sub)
		w.String(e.Value)
	case event.TypeZSet:
		w.String(sub)
		w.Score(e.Score)
	default:
		w.String(sub)
	}
}

// Redis's texts of RESTORE.
const (
	errRestoreTTL      = "ERR Invalid TTL value, must be >= 0"
	errRestoreIdle     = "ERR Invalid IDLETIME value, must be >= 0"
	errRestoreFreq     = "ERR Invalid FREQ value, must be >= 0 and <= 255"
	errRestoreBusy     = "BUSYKEY Target key name already exists."
	errRestoreChecksum = "ERR DUMP payload version or checksum are wrong"
	errRestoreFormat   = "ERR Bad data format"
)

// restoreOptions are those of RESTORE. What they say of Redis's eviction is checked and of no use here.
type restoreOptions struct{ replace, absolute bool }

func (c *Context) restoreOptions() (o restoreOptions, ok bool) {
	args := c.Args
	for i := 4; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case equalFold(args[i], "replace"):
			o.replace = true
		case equalFold(args[i], "absttl"):
			o.absolute = true
		case equalFold(args[i], "idletime") && more:
			i++
			if n, ok := c.intArg(i); !ok || n < 0 {
				return o, c.refuse(ok, errRestoreIdle)
			}
		case equalFold(args[i], "freq") && more:
			i++
			if n, ok := c.intArg(i); !ok || n < 0 || n > 255 {
				return o, c.refuse(ok, errRestoreFreq)
			}
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// refuse replies an error unless one was replied already. It is false.
func (c *Context) refuse(silent bool, text string) bool {
	if silent {
		c.Reply.Error(text)
	}
	return false
}

func runRestore(c *Context) error {
	o, ok := c.restoreOptions()
	if !ok {
		return nil
	}
	key := c.Args[1]
	r, err := c.look(key)
	if err != nil {
		return err
	}
	if r.live && !o.replace {
		c.Reply.Error(errRestoreBusy)
		return nil
	}
	ttl, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if ttl < 0 || !o.absolute && ttl > math.MaxInt64-c.Now {
		c.Reply.Error(errRestoreTTL)
		return nil
	}
	w, problem := c.restored(c.Args[3])
	if problem != "" {
		c.Reply.Error(problem)
		return nil
	}
	if ttl != 0 && !o.absolute {
		ttl += c.Now
	}
	c.Reply.OK()
	if ttl == 0 || ttl > c.Now {
		c.emitWhole(key, r, &w, ttl)
	} else if r.live { // it has expired before it came
		c.emitDel(key, r)
	}
	return nil
}

// restored is the content of a payload. problem is the error to reply, or "".
func (c *Context) restored(payload []byte) (w whole, problem string) {
	v, err := rdb.Decode(payload, c.limits().Event)
	switch {
	case errors.Is(err, rdb.ErrChecksum):
		return w, errRestoreChecksum
	case err != nil:
		return w, errRestoreFormat
	}
	w.Type, w.Value, w.Count = v.Type, v.String, uint64(len(v.Items))
	if problem = c.restoredFits(&v); problem != "" {
		return w, problem
	}
	if v.Type == event.TypeList {
		w.items = make([][]byte, len(v.Items))
		for i, item := range v.Items {
			w.items[i] = item.Name
		}
		return w, ""
	}
	w.elements = make([]event.Element, len(v.Items))
	for i, item := range v.Items {
		w.elements[i] = event.Element{Sub: item.Name, Value: item.Value, Score: item.Score}
	}
	return w, ""
}

// restoredFits checks what came in a payload by the limits that it would have had to meet as arguments.
func (c *Context) restoredFits(v *rdb.Value) (problem string) {
	limits := c.limits()
	if len(v.String) > limits.Value {
		return ErrValueSize
	}
	most := limits.SubKey
	if v.Type == event.TypeList {
		most = limits.Value
	}
	size := 0
	for i := range v.Items {
		if len(v.Items[i].Name) > most {
			return ErrSubKeySize
		}
		if len(v.Items[i].Value) > limits.Value {
			return ErrValueSize
		}
		if size += len(v.Items[i].Name) + len(v.Items[i].Value) + elementOverhead; size > limits.Event {
			return ErrTooLarge
		}
	}
	return ""
}
