package resp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/zankv/zankv/cluster/command"
)

const badClientName = "ERR Client names cannot contain spaces, newlines or special characters."

// printable says whether a name can stand in CLIENT LIST.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

func (c *conn) clientID([][]byte) { c.integer(int64(c.id)) }

func (c *conn) clientGetName([][]byte) {
	r := c.begin()
	if name := c.mu.name; name != "" { // written by this goroutine only
		r.BulkString(name)
	} else {
		r.Null()
	}
	c.end(r)
}

func (c *conn) clientSetName(args [][]byte) {
	name := string(args[2])
	if !printable(name) {
		c.fail(badClientName)
		return
	}
	c.mu.Lock()
	c.mu.name = name
	c.mu.Unlock()
	c.ok()
}

func (c *conn) clientSetInfo(args [][]byte) {
	value := string(args[3])
	var field *string
	switch strings.ToLower(string(args[2])) {
	case "lib-name":
		field = &c.mu.libName
	case "lib-ver":
		field = &c.mu.libVersion
	default:
		c.fail("ERR Unrecognized option '" + string(args[2]) + "'")
		return
	}
	if !printable(value) {
		c.fail("ERR " + strings.ToLower(string(args[2])) + " cannot contain spaces, newlines or special characters.")
		return
	}
	c.mu.Lock()
	*field = value
	c.mu.Unlock()
	c.ok()
}

func (c *conn) clientNoEvict(args [][]byte) { c.clientSwitch(args, &c.mu.noEvict) }
func (c *conn) clientNoTouch(args [][]byte) { c.clientSwitch(args, &c.mu.noTouch) }

func (c *conn) clientSwitch(args [][]byte, value *bool) {
	on := strings.EqualFold(string(args[2]), "on")
	if !on && !strings.EqualFold(string(args[2]), "off") {
		c.fail(command.ErrSyntax)
		return
	}
	c.mu.Lock()
	*value = on
	c.mu.Unlock()
	c.ok()
}

func (c *conn) clientReply(args [][]byte) {
	switch strings.ToLower(string(args[2])) {
	case "on":
		c.reply = replyOn
		c.ok()
	case "off":
		c.reply = replyOff
	case "skip":
		if c.reply != replyOff {
			c.reply = replySkipOne
		}
	default:
		c.fail(command.ErrSyntax)
	}
}

func (c *conn) clientInfo([][]byte) {
	c.last.Store(c.spec)
	r := c.begin()
	r.Verbatim(c.line() + "\n")
	c.end(r)
}

// clientList describes the node's connections, or those of a type, or with certain ids.
func (c *conn) clientList(args [][]byte) {
	ids, kind, problem := parseClientList(args[2:])
	if problem != "" {
		c.fail(problem)
		return
	}
	c.last.Store(c.spec)
	var text strings.Builder
	for _, other := range c.srv.connections() {
		if (ids == nil || slices.Contains(ids, other.id)) && (kind == "" || other.ofType(kind)) {
			text.WriteString(other.line())
			text.WriteByte('\n')
		}
	}
	r := c.begin()
	r.Verbatim(text.String())
	c.end(r)
}

// parseClientList reads TYPE <type> or ID <id> …; nil ids and an empty kind mean all.
func parseClientList(args [][]byte) (ids []uint64, kind, problem string) {
	switch {
	case len(args) == 0:
		return nil, "", ""
	case len(args) == 2 && isWord(args[0], "type"):
		kind, problem = clientType(string(args[1]))
		return nil, kind, problem
	case len(args) > 1 && isWord(args[0], "id"):
		for _, a := range args[1:] {
			n, ok := parseInt(a)
			if !ok || n < 1 {
				return nil, "", "ERR Invalid client ID"
			}
			ids = append(ids, uint64(n))
		}
		return ids, "", ""
	}
	return nil, "", command.ErrSyntax
}

// connections lists the open connections by id.
func (s *Server) connections() []*conn {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.mu.conns))
	for _, c := range s.mu.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
	return all
}

// line describes the connection as CLIENT LIST does. It may be called by any goroutine.
func (c *conn) line() string {
	c.mu.Lock()
	name, lib, version, user, resp3 := c.mu.name, c.mu.libName, c.mu.libVersion, c.mu.user, c.mu.resp3
	flags := "N"
	if c.mu.noEvict {
		flags = "e"
	}
	if c.mu.noTouch {
		flags = strings.TrimPrefix(flags, "N") + "T"
	}
	c.mu.Unlock()
	if c.watching.Load() {
		flags = "O" + strings.TrimPrefix(flags, "N")
	}
	queued := c.queued.Load()
	if queued >= 0 {
		flags = "x" + strings.TrimPrefix(flags, "N")
	}
	idleSince := c.active.Load()
	if since := c.blocked.Load(); since > 0 {
		flags, idleSince = "b"+strings.TrimPrefix(flags, "N"), since
	}
	cmdName := "NULL"
	if spec := c.last.Load(); spec != nil {
		cmdName = spec.Name
	}
	proto := 2
	if resp3 {
		proto = 3
	}
	idle := max(c.srv.tick.Load()-idleSince, 0) * int64(tickEvery) / 1e9
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d "+
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=%d events=r cmd=%s user=%s redir=-1 resp=%d "+
		"lib-name=%s lib-ver=%s port=%s tot-cmds=%d",
		c.id, c.nc.RemoteAddr(), c.nc.LocalAddr(), name, int64(c.srv.now().Sub(c.born).Seconds()), idle, flags, queued,
		c.mem.Load()+firstBuffer, cmdName, cmp.Or(user, "default"), proto, lib, version, c.kind, c.commands.Load())
}
