package command

import (
	"bytes"
	"encoding/base64"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
)

// tableScans are ZanKV's scans of a table. A client sends table:cursor (on the shared port with the namespace in front) as the first
// argument, and gets one cursor for all partitions; the front end takes that apart, so that Run sees one partition's part:
//
//	name table cursor [KV|HASH|LIST|SET|ZSET] [MATCH pattern] [COUNT n]
//
// with the type where the command has one. (What SCAN means to clients without a namespace is ADVSCAN of KV.) The partition's cursor is "" at both ends, otherwise base64 of the last key; that of FULLSCAN
// may have a colon and base64 of the last field, member or place behind it. Keys are replied without their table.
var tableScans = []*Spec{
	tableScan("revscan", 0, "Iterates over the strings of a table from the last key, a page a call."),
	tableScan("advscan", scanTyped, "Iterates over a table's keys of one type, a page a call."),
	tableScan("advrevscan", scanTyped|scanReverse, "Iterates over a table's keys of one type from the last, a page a call."),
	tableScan("fullscan", scanTyped|scanFull, "Iterates over a table's keys of one type with all that they hold, a page a call."),
}

// What distinguishes the scans of tables.
const (
	scanTyped = 1 << iota
	scanReverse
	scanFull
)

func tableScan(name string, kind int, summary string) *Spec {
	if name == "revscan" {
		kind |= scanReverse
	}
	arity := -2
	if kind&scanTyped != 0 {
		arity = -3
	}
	return &Spec{
		Name: name, Arity: arity, Flags: ReadOnly | ManyRows, Scope: ScopeNamespace, Gather: GatherOwn,
		Run:     func(c *Context) error { return c.scanTable(kind) },
		Summary: summary + " A command of ZanKV's own.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being COUNT",
	}
}

const (
	defaultTableCount = 100
	errScanCursor     = "ERR invalid scan cursor"
)

// tablePage is one partition's page in the making.
type tablePage struct {
	c       *Context
	kind    int
	prefix  []byte // table and colon
	types   [2]event.Type
	pattern []byte
	left    int64 // keys, or elements, that still may be looked at
	size    int   // bytes found

	after, sub []byte // where the page begins: behind this key, or within it behind sub
	keys       [][]byte
	metas      []event.Meta
	last       []byte
	more       bool
}

var scanTypes = map[string][2]event.Type{
	"kv": {event.TypeString, event.TypeBitmap}, "hash": {event.TypeHash}, "list": {event.TypeList}, "set": {event.TypeSet}, "zset": {event.TypeZSet},
}

func (c *Context) scanTable(kind int) error {
	p := tablePage{c: c, kind: kind, types: scanTypes["kv"]}
	if problem := p.parse(); problem != "" {
		c.Reply.Error(problem)
		return nil
	}
	if err := p.collect(); err != nil {
		return err
	}
	if kind&scanFull != 0 {
		return p.replyFull()
	}
	c.Reply.Array(2)
	c.Reply.BulkString(p.cursor(nil))
	c.Reply.Array(len(p.keys))
	for _, key := range p.keys {
		c.Reply.Bulk(key[len(p.prefix):])
	}
	return nil
}

func (p *tablePage) parse() (problem string) {
	args := p.c.Args
	p.prefix = append(append([]byte(nil), args[1]...), ':')
	if problem = p.parseCursor(args[2]); problem != "" {
		return problem
	}
	options := args[3:]
	if p.kind&scanTyped != 0 {
		if len(options) == 0 {
			return ErrSyntax
		}
		types, ok := scanTypes[string(bytes.ToLower(options[0]))]
		if !ok {
			return ErrSyntax
		}
		p.types, options = types, options[1:]
	}
	q, problem := ParseScan(options)
	if problem != "" {
		return problem
	}
	if q.Type != nil {
		return ErrSyntax // TYPE is Redis's SCAN's
	}
	p.pattern, p.left = q.Pattern, min(q.Count, int64(p.c.limits().ScanCount))
	if !q.Counted {
		p.left = defaultTableCount
	}
	return ""
}

func (p *tablePage) parseCursor(cursor []byte) (problem string) {
	if len(cursor) == 0 {
		return ""
	}
	key, sub, within := bytes.Cut(cursor, []byte{':'})
	var err, err2 error
	p.after, err = base64.StdEncoding.AppendDecode(nil, key)
	if within {
		p.sub, err2 = base64.StdEncoding.AppendDecode([]byte{}, sub)
	}
	if err != nil || err2 != nil || within && p.kind&scanFull == 0 {
		return errScanCursor
	}
	p.after = append(append([]byte(nil), p.prefix...), p.after...)
	return ""
}

// cursor is where the next page begins: behind the last key looked at, or within it behind sub.
func (p *tablePage) cursor(sub []byte) string {
	if !p.more {
		return ""
	}
	text := base64.StdEncoding.EncodeToString(p.last[len(p.prefix):])
	if sub != nil {
		text += ":" + base64.StdEncoding.EncodeToString(sub)
	}
	return text
}

// collect gathers the keys of the page.
func (p *tablePage) collect() error {
	if p.kind&scanReverse != 0 {
		before := p.after
		if before == nil {
			before = append(append([]byte(nil), p.prefix[:len(p.prefix)-1]...), ':'+1)
		}
		return p.c.View.KeysReverse(before, p.visit)
	}
	from := p.prefix
	if p.after != nil {
		from = p.after
		if p.sub == nil {
			from = append(append([]byte(nil), from...), 0)
		}
	}
	return p.c.View.Keys(from, p.visit)
}

// placed says whether a page can end behind the last key: a place behind an empty name would be taken for the end.
func (p *tablePage) placed() bool { return len(p.last) > len(p.prefix) }

func (p *tablePage) visit(key []byte, m *event.Meta) bool {
	if !bytes.HasPrefix(key, p.prefix) {
		return false
	}
	if (p.left <= 0 || p.size > scanPageBytes) && p.placed() {
		p.more = true
		return false
	}
	p.last = append(p.last[:0], key...)
	p.left--
	if m.Expired(p.c.Now) || m.Type != p.types[0] && m.Type != p.types[1] || m.Type == event.TypeNone {
		return true
	}
	if p.pattern != nil && !glob.Match(p.pattern, key[len(p.prefix):]) {
		return true
	}
	p.keys = append(p.keys, p.c.hold(key))
	p.size += len(key)
	if p.kind&scanFull != 0 {
		meta := *m
		meta.Value = p.c.hold(m.Value)
		p.size += len(m.Value)
		p.metas = append(p.metas, meta)
	}
	return true
}

// replyFull replies what the keys hold. The page ends early when it has looked at COUNT elements, or many bytes.
func (p *tablePage) replyFull() error {
	budget := min(p.left+int64(len(p.keys)), int64(p.c.limits().ScanCount))
	body := Reply{RESP3: p.c.Reply.RESP3}
	n, sub, seen := 0, []byte(nil), p.last
	for i, key := range p.keys {
		if i > 0 && (budget <= 0 || len(body.Buf) > scanPageBytes) && p.placed() {
			p.more, seen = true, p.last
			break
		}
		p.last, n = key, n+1
		begin := p.sub
		if !bytes.Equal(key, p.after) {
			begin = nil
		}
		taken, rest, err := p.replyKey(&body, key, &p.metas[i], begin, max(budget, 1))
		if err != nil {
			return err
		}
		budget -= max(taken, 1)
		if rest != nil {
			p.more, sub, seen = true, rest, p.last
			break
		}
	}
	p.last = seen // behind keys that were looked at and aren't replied, if all that are have been
	p.c.Reply.Array(2)
	p.c.Reply.BulkString(p.cursor(sub))
	p.c.Reply.Array(n)
	p.c.Reply.Buf = append(p.c.Reply.Buf, body.Buf...)
	return nil
}

// replyKey replies a key with its elements behind begin, at most so many; rest is the last one's name if there are more.
func (p *tablePage) replyKey(out *Reply, key []byte, m *event.Meta, begin []byte, budget int64) (taken int64, rest []byte, err error) {
	name := key[len(p.prefix):]
	if m.Type == event.TypeString {
		out.Array(2)
		out.Bulk(name)
		out.Bulk(m.Value)
		return 1, nil, nil
	}
	if m.Type == event.TypeBitmap {
		r, _, err := p.c.lookString(key)
		if err != nil {
			return 0, nil, err
		}
		out.Array(2)
		out.Bulk(name)
		out.Bulk(r.Value)
		return 1, nil, nil
	}
	in := Range{}
	if begin != nil {
		in.From = append(append([]byte(nil), begin...), 0)
	}
	var parts []scanPart
	size, more := 0, false
	err = p.c.View.Elements(key, m, in, func(sub []byte, e *Element) bool {
		if int64(len(parts)) >= budget || size > scanPageBytes {
			more = true
			return false
		}
		parts = append(parts, scanPart{sub: p.c.hold(sub), value: p.c.hold(e.Value), score: e.Score})
		size += len(sub) + len(e.Value)
		return true
	})
	out.Array(1 + len(parts))
	out.Bulk(name)
	for i := range parts {
		replyPart(out, m.Type, &parts[i])
	}
	if more {
		rest = parts[len(parts)-1].sub
	}
	return int64(len(parts)), rest, err
}

func replyPart(out *Reply, t event.Type, part *scanPart) {
	switch t {
	case event.TypeHash:
		out.Array(2)
		out.Bulk(part.sub)
		out.Bulk(part.value)
	case event.TypeZSet:
		out.Array(2)
		out.Bulk(part.sub)
		out.Bulk(appendDouble(nil, part.score))
	case event.TypeList:
		out.Bulk(part.value)
	default:
		out.Bulk(part.sub)
	}
}
