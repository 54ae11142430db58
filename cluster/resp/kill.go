package resp

import "strings"

// clientFilter says which connections CLIENT KILL means. Zero values mean any.
type clientFilter struct {
	id          uint64
	kind        string
	user        string
	addr, laddr string
	skipMe      bool
}

// clientKill closes connections: one by its address in the old form, all that fit in the new one.
func (c *conn) clientKill(args [][]byte) {
	if len(args) == 3 {
		f := clientFilter{addr: string(args[2])}
		if c.kill(&f) == 0 {
			c.fail("ERR No such client")
			return
		}
		c.ok()
		return
	}
	f, problem := c.parseKill(args[2:])
	if problem != "" {
		c.fail(problem)
		return
	}
	c.integer(c.kill(f))
}

func (c *conn) parseKill(args [][]byte) (f *clientFilter, problem string) {
	f = &clientFilter{skipMe: true}
	if len(args)%2 != 0 {
		return nil, "ERR syntax error"
	}
	for ; len(args) > 0; args = args[2:] {
		value := string(args[1])
		switch strings.ToLower(string(args[0])) {
		case "id":
			n, ok := parseInt(args[1])
			if !ok || n < 1 {
				return nil, "ERR client-id should be greater than 0"
			}
			f.id = uint64(n)
		case "type":
			if f.kind, problem = clientType(value); problem != "" {
				return nil, problem
			}
		case "addr":
			f.addr = value
		case "laddr":
			f.laddr = value
		case "user":
			if _, known := c.srv.backend.Namespace(value); !known && value != "default" {
				return nil, "ERR No such user '" + value + "'"
			}
			f.user = value
		case "skipme":
			if f.skipMe = isWord(args[1], "yes"); !f.skipMe && !isWord(args[1], "no") {
				return nil, "ERR syntax error"
			}
		default:
			return nil, "ERR syntax error"
		}
	}
	return f, ""
}

// clientType reads a kind of client. There are but normal ones here, and monitors, which Redis counts as replicas.
func clientType(word string) (kind, problem string) {
	switch kind = strings.ToLower(word); kind {
	case "normal", "master", "replica", "pubsub":
		return kind, ""
	case "slave":
		return "replica", ""
	}
	return "", "ERR Unknown client type '" + word + "'"
}

// ofType says whether the connection is of a kind.
func (c *conn) ofType(kind string) bool {
	switch kind {
	case "normal":
		return !c.watching.Load()
	case "replica":
		return c.watching.Load()
	}
	return false
}

// fits may be called by any goroutine.
func (f *clientFilter) fits(c *conn) bool {
	c.mu.Lock()
	user := c.mu.user
	c.mu.Unlock()
	if user == "" {
		user = "default"
	}
	return (f.id == 0 || f.id == c.id) && (f.kind == "" || c.ofType(f.kind)) && (f.user == "" || f.user == user) &&
		(f.addr == "" || f.addr == c.nc.RemoteAddr().String()) && (f.laddr == "" || f.laddr == c.nc.LocalAddr().String())
}

// kill closes the connections that fit and says how many. This one is closed behind its reply.
func (c *conn) kill(f *clientFilter) (n int64) {
	for _, other := range c.srv.connections() {
		if other == c && f.skipMe || !f.fits(other) || other.killed.Swap(true) {
			continue
		}
		n++
		if other == c {
			c.closing = true
			continue
		}
		other.nc.Close() // ends reading and writing, and the wait of a blocking command
	}
	c.srv.paused.wake()
	return n
}

func (c *conn) clientGetRedir([][]byte) { c.integer(-1) }
