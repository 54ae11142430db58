package resp

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/zankv/zankv/cluster/command"
)

const (
	badScanCursor   = "ERR invalid scan cursor"
	tooManyScanJobs = "too much scan job"
	// defaultTableCount is a table scan's COUNT when none is given.
	defaultTableCount = 100
)

// onTable are the scans of tables. SCAN is one on connections that are bound to no namespace; elsewhere it is Redis's.
var onTable = map[*command.Spec]bool{}

// tableWords are what a partition is asked in place of a scan of strings, and their type: its own names mean something else, or nothing.
var tableWords = map[string][2]string{"scan": {"advscan", "KV"}, "revscan": {"advrevscan", "KV"}}

func init() {
	for _, name := range []string{"scan", "revscan", "advscan", "advrevscan", "fullscan"} {
		onTable[command.Lookup([]byte(name))] = true
	}
}

// tableScan is a scan of a table in work.
type tableScan struct {
	ns    *Namespace
	table []byte
	at    []tablePlace // the partitions that aren't done, by their numbers
	name  []byte       // what they are asked
	kind  []byte       // the type
	q     command.Scan
	full  bool
}

// tablePlace is where a table's scan goes on in a partition: Run's cursor. "" is the beginning.
type tablePlace struct {
	partition int
	text      []byte
}

// tableByPrefix runs a scan of a table whose argument names the namespace.
func (c *conn) tableByPrefix(spec *command.Spec, args [][]byte) {
	name, rest, problem := splitKey(args[0], args[1])
	var ns *Namespace
	if problem == "" {
		ns, problem = c.named(name, args[0], args[1])
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	c.runTable(ns, spec, args, rest)
}

// table runs a scan of a table of the bound namespace.
func (c *conn) table(spec *command.Spec, args [][]byte) {
	if table := bytes.IndexByte(args[1], ':'); table <= 0 || table > maxTable {
		c.fail(handling(badTable, args[0], args[1]))
		return
	}
	c.runTable(c.ns, spec, args, args[1])
}

// runTable asks all partitions that aren't done for their part of a page, all at once.
func (c *conn) runTable(ns *Namespace, spec *command.Spec, args [][]byte, arg []byte) {
	s := &tableScan{ns: ns}
	if problem := c.parseTable(s, spec, args, arg); problem != "" {
		c.fail(problem)
		return
	}
	c.finish() // what came before is answered: its turn isn't a scan's time
	if c.srv.scanJobs.Add(1) > int64(c.srv.opt.MaxScanJobs) {
		c.srv.scanJobs.Add(-1)
		c.fail(tooManyScanJobs)
		return
	}
	defer c.srv.scanJobs.Add(-1)
	all := c.newCall()
	all.Spec = spec
	for i := range s.at {
		part := c.newPart(all, ns, s.at[i].partition, c.readonly, false)
		part.Spec = command.Lookup(s.name)
		part.Args = s.line(&s.at[i])
		c.start1(part)
	}
	if c.open > 0 {
		c.runLanes()
	}
	c.answerTable(s, all)
}

// parseTable reads a scan's arguments. arg is table:cursor.
func (c *conn) parseTable(s *tableScan, spec *command.Spec, args [][]byte, arg []byte) (problem string) {
	table, text, _ := bytes.Cut(arg, []byte{':'})
	options := args[2:]
	s.table, s.name, s.full = table, []byte(spec.Name), spec.Name == "fullscan"
	if words, ok := tableWords[spec.Name]; ok {
		s.name, s.kind = []byte(words[0]), []byte(words[1])
	} else if len(options) == 0 {
		return command.ErrSyntax
	} else {
		s.kind, options = options[0], options[1:]
	}
	if s.q, problem = command.ParseScan(options); problem != "" {
		return problem
	}
	if s.q.Type != nil {
		return command.ErrSyntax
	}
	if !s.q.Counted {
		s.q.Count = defaultTableCount
	}
	s.q.Count = min(s.q.Count, int64(c.srv.opt.Limits.ScanCount))
	return c.placeTable(s, text)
}

// placeTable finds the partitions to ask: all that the port covers to begin with, then those that the cursor names.
func (c *conn) placeTable(s *tableScan, text []byte) (problem string) {
	if len(text) > 0 {
		var ok bool
		if s.at, ok = parseTableCursor(text, s.ns.Partitions, s.full); !ok {
			return badScanCursor
		}
		return ""
	}
	for p := range s.ns.Partitions {
		if c.covers(p) {
			s.at = append(s.at, tablePlace{partition: p})
		}
	}
	return ""
}

// line is what a partition is asked. COUNT is divided among those that are asked.
func (s *tableScan) line(at *tablePlace) [][]byte {
	count := max(s.q.Count/int64(len(s.at)), 1)
	line := [][]byte{s.name, s.table, at.text, s.kind, []byte("COUNT"), strconv.AppendInt(nil, count, 10)}
	if s.q.Pattern != nil {
		line = append(line, []byte("MATCH"), s.q.Pattern)
	}
	return line
}

// answerTable makes one page of the parts', and ends the round.
func (c *conn) answerTable(s *tableScan, all *call) {
	size := 0
	for _, part := range all.parts {
		size += len(part.Reply.Buf)
	}
	if !c.srv.budget.take(int64(size)) {
		c.endRound(size)
		c.drop(errBuffersAreFull)
		return
	}
	defer c.srv.budget.take(-int64(size))
	var reply []byte
	if failed := failure(all); failed != nil {
		reply = append(reply, failed.Reply.Buf...)
	} else {
		reply = s.page(all, size)
	}
	c.endRound(size)
	c.outLargeReply(reply)
}

// outLargeReply is raw for a reply that nothing waits before.
func (c *conn) outLargeReply(reply []byte) {
	if c.wanted() {
		c.outLarge(reply)
	}
}

// page joins the parts' pages, and keeps the places of those that aren't done.
func (s *tableScan) page(all *call, size int) []byte {
	left, n := s.at[:0], 0
	for i, part := range all.parts {
		next, elements, _ := splitScan(part.Reply.Buf)
		head := valueHead(elements)
		m, _ := strconv.Atoi(string(elements[1 : head-2]))
		n, part.rest = n+m, elements[head:]
		if len(next) > 0 {
			left = append(left, tablePlace{partition: s.at[i].partition, text: next})
		}
	}
	r := command.Reply{Buf: make([]byte, 0, 2*size+64)}
	r.Array(2)
	r.Bulk(appendTableCursor(nil, left, s.full))
	r.Array(n)
	for _, part := range all.parts {
		r.Buf = append(r.Buf, part.rest...)
	}
	return r.Buf
}

// appendTableCursor appends the cursor of a whole table as ZanKV writes it: base64 of `partition:base64(place);…`. Run's texts of places are
// base64 already where a place is just a key; FULLSCAN's have more to them.
func appendTableCursor(dst []byte, at []tablePlace, full bool) []byte {
	var all []byte
	for i := range at {
		all = append(strconv.AppendInt(all, int64(at[i].partition), 10), ':')
		if full {
			all = base64.StdEncoding.AppendEncode(all, at[i].text)
		} else {
			all = append(all, at[i].text...)
		}
		all = append(all, ';')
	}
	return base64.StdEncoding.AppendEncode(dst, all)
}

// parseTableCursor reads a cursor of a table. Partitions are named once each, in order.
func parseTableCursor(text []byte, partitions int, full bool) (at []tablePlace, ok bool) {
	all, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || len(all) == 0 {
		return nil, false
	}
	last := -1
	for len(all) > 0 {
		entry, rest, ended := bytes.Cut(all, []byte{';'})
		number, place, split := bytes.Cut(entry, []byte{':'})
		p, known := parseInt(number)
		if !ended || !split || !known || p <= int64(last) || p >= int64(partitions) || len(place) == 0 {
			return nil, false
		}
		decoded, err := base64.StdEncoding.AppendDecode(nil, place)
		if err != nil || len(decoded) == 0 {
			return nil, false
		}
		if full {
			place = decoded
		}
		at = append(at, tablePlace{partition: int(p), text: place})
		last, all = int(p), rest
	}
	return at, true
}
