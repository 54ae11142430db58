package commandtest

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// Executor answers command lines as a server with one partition would: the commands on keys and on the key space, and
// COMMAND. It speaks RESP2 unless RESP3 is set.
type Executor struct {
	Store *Store
	// Now is the clock, in ms since 1970.
	Now        func() int64
	RESP3      bool
	Replicates bool
	// MemberTombstones and Watermark are the Context's.
	MemberTombstones bool
	Watermark        int64

	random  uint64
	cursors map[uint64][]byte
	ctx     command.Context
}

// NewExecutor makes one over an empty store. fail is told of broken invariants.
func NewExecutor(now func() int64, fail func(string)) *Executor {
	return &Executor{Store: NewStore(fail), Now: now, cursors: map[uint64][]byte{}}
}

// Do evaluates one command line and returns the reply's bytes.
func (e *Executor) Do(args ...[]byte) []byte {
	r := command.Reply{RESP3: e.RESP3}
	spec, _, problem := command.Resolve(args, &command.DefaultLimits)
	switch {
	case problem != "":
		r.Error(problem)
	case spec.Name == "scan":
		e.scan(&r, args)
	case spec.NumericScan():
		e.scanElements(&r, spec, args)
	case spec.Run != nil:
		e.run(&r, spec, args)
	case !command.Describe(&r, args):
		r.Error("ERR not a command of the pure layer")
	}
	return r.Buf
}

// run evaluates, pages included, and checks what may be emitted with which reply.
func (e *Executor) run(r *command.Reply, spec *command.Spec, args [][]byte) {
	c := &e.ctx
	e.random++
	c.Spec, c.Args, c.Now, c.View, c.Tx = spec, args, e.Now(), e.Store, nil
	c.Random, c.Reply, c.Replicates, c.Resume = e.random*0x9E3779B97F4A7C15, r, e.Replicates, nil
	c.SinglePartition, c.MemberTombstones, c.Watermark = true, e.MemberTombstones, e.Watermark
	if spec.Flags&command.Write != 0 {
		c.Tx = e.Store
	}
	for {
		var before map[string]event.Meta
		if c.Tx != nil {
			before = e.Store.Rows()
		}
		e.Store.Emitted = e.Store.Emitted[:0]
		r.Buf = r.Buf[:0]
		if err := spec.Run(c); err != nil {
			r.Buf = r.Buf[:0]
			r.Error("ERR " + err.Error())
			return
		}
		e.checkEffect(spec, r, before)
		if c.Resume = c.More; c.Resume == nil {
			return
		}
	}
}

func (e *Executor) checkEffect(spec *command.Spec, r *command.Reply, before map[string]event.Meta) {
	if len(e.Store.Emitted) == 0 {
		return
	}
	if r.IsError() {
		e.Store.Fail(fmt.Sprintf("%s: replied %q and emitted %+v", spec.Name, r.Buf, e.Store.Emitted))
	}
	for i := range e.Store.Emitted {
		m := &e.Store.Emitted[i]
		was, ok := before[string(m.Key)]
		is := e.Store.rows[string(m.Key)]
		unchanged := ok && !m.Op.OnElements() && was.ExpireAt == is.ExpireAt && was.Type == is.Type && reflect.DeepEqual(was.Value, is.Value)
		if unchanged && m.Op != event.OpSet && !was.Expired(e.ctx.Now) {
			e.Store.Fail(fmt.Sprintf("%s: emitted %+v, which changes nothing", spec.Name, m))
		}
	}
}

// scanElements gives the pages of a key's elements numeric cursors, as the front end does where clients are Redis's.
func (e *Executor) scanElements(r *command.Reply, spec *command.Spec, args [][]byte) {
	n, problem := command.ParseCursor(args[2])
	text, known := e.cursors[n]
	switch {
	case problem != "":
		r.Error(problem)
		return
	case n != 0 && !known:
		r.Error(fmt.Sprintf("ERR unknown cursor %d", n))
		return
	}
	page := command.Reply{RESP3: e.RESP3}
	e.run(&page, spec, append([][]byte{args[0], args[1], text}, args[3:]...))
	if page.IsError() {
		r.Buf = append(r.Buf, page.Buf...)
		return
	}
	// The page is an array of the text, in a bulk string, and the array of what was found.
	rest := page.Buf[len("*2\r\n"):]
	end := bytes.Index(rest, []byte("\r\n"))
	size, _ := strconv.Atoi(string(rest[1:end]))
	next := bytes.Clone(rest[end+2 : end+2+size])
	cursor := uint64(0)
	if size > 0 {
		e.random++
		cursor = e.random
		e.cursors[cursor] = next
	}
	r.Array(2)
	r.BulkString(strconv.FormatUint(cursor, 10))
	r.Buf = append(r.Buf, rest[end+2+size+2:]...)
}

// scan gives pages numeric cursors, which are the front end's affair in a server.
func (e *Executor) scan(r *command.Reply, args [][]byte) {
	n, problem := command.ParseCursor(args[1])
	q, problem2 := command.ParseScan(args[2:])
	if problem == "" {
		problem = problem2
	}
	if problem != "" {
		r.Error(problem)
		return
	}
	from := e.cursors[n]
	delete(e.cursors, n)
	var keys [][]byte
	next, err := command.ScanPage(e.Store, e.Now(), &q, from, func(key []byte) {
		keys = append(keys, append([]byte{}, key...))
	})
	if err != nil {
		r.Error("ERR " + err.Error())
		return
	}
	r.Array(2)
	if next == nil {
		r.BulkString("0")
	} else {
		e.random++
		e.cursors[e.random] = next
		r.BulkString(fmt.Sprint(e.random))
	}
	r.Array(len(keys))
	for _, key := range keys {
		r.Bulk(key)
	}
}
