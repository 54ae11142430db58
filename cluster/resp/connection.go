package resp

import (
	"crypto/subtle"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cluster/command"
)

// handlers answer the commands of ScopeConnection, own those of GatherOwn. Every such command of the table has one: a test checks.
var (
	handlers map[*command.Spec]func(c *conn, args [][]byte)
	own      map[*command.Spec]func(c *conn, spec *command.Spec, args [][]byte)
)

func init() {
	byName := map[string]func(c *conn, args [][]byte){
		"ping": (*conn).ping, "echo": (*conn).echo, "hello": (*conn).hello, "auth": (*conn).auth, "quit": (*conn).quit,
		"reset": (*conn).reset, "select": (*conn).selectDB, "readonly": (*conn).setReadonly, "readwrite": (*conn).setReadonly,
		"time": (*conn).time, "info": (*conn).info, "command": (*conn).describe,
		"client|id": (*conn).clientID, "client|getname": (*conn).clientGetName, "client|setname": (*conn).clientSetName,
		"client|setinfo": (*conn).clientSetInfo, "client|list": (*conn).clientList, "client|info": (*conn).clientInfo,
		"client|unblock":  (*conn).clientUnblock,
		"client|no-evict": (*conn).clientNoEvict, "client|no-touch": (*conn).clientNoTouch, "client|reply": (*conn).clientReply,
		"xread": (*conn).xread, "xrange": (*conn).xrange, "wait": (*conn).waitReplicas, "waitaof": (*conn).waitDisk,
		"multi": (*conn).multi, "exec": (*conn).exec, "discard": (*conn).discard, "watch": (*conn).watch,
		"unwatch":    (*conn).unwatch,
		"config|get": (*conn).configGet, "config|set": (*conn).configSet, "config|resetstat": (*conn).configResetStat,
		"slowlog|get": (*conn).slowlogGet, "slowlog|len": (*conn).slowlogLen, "slowlog|reset": (*conn).slowlogReset,
		"latency|latest": (*conn).latencyLatest, "latency|history": (*conn).latencyHistory, "latency|reset": (*conn).latencyReset,
		"latency|graph": (*conn).latencyGraph, "latency|doctor": (*conn).latencyDoctor, "latency|histogram": (*conn).latencyHistogram,
		"client|kill": (*conn).clientKill, "client|pause": (*conn).clientPause, "client|unpause": (*conn).clientUnpause,
		"client|getredir": (*conn).clientGetRedir, "monitor": (*conn).startMonitor, "role": (*conn).role, "acl|whoami": (*conn).aclWhoAmI,
		"memory|stats": (*conn).memoryStats, "memory|doctor": (*conn).memoryDoctor, "memory|purge": (*conn).memoryPurge,
		"memory|malloc-stats": (*conn).memoryMallocStats,
		"cluster|slots":       (*conn).clusterSlots, "cluster|shards": (*conn).clusterShards, "cluster|nodes": (*conn).clusterNodes,
		"cluster|myid": (*conn).clusterMyID, "cluster|keyslot": (*conn).clusterKeySlot, "cluster|info": (*conn).clusterInfo,
		"cluster|countkeysinslot": (*conn).clusterCountKeys,
	}
	ownByName := map[string]func(c *conn, spec *command.Spec, args [][]byte){
		"scan": (*conn).scan, "randomkey": (*conn).randomKey,
		"revscan": (*conn).table, "advscan": (*conn).table, "advrevscan": (*conn).table, "fullscan": (*conn).table,
	}
	handlers = make(map[*command.Spec]func(*conn, [][]byte))
	own = make(map[*command.Spec]func(*conn, *command.Spec, [][]byte))
	for _, s := range command.All() {
		for _, sub := range append([]*command.Spec{s}, s.Subcommands...) {
			family, verb, _ := strings.Cut(sub.Name, "|")
			switch h := byName[sub.Name]; {
			case refusals[sub.Name] != "":
				handlers[sub] = (*conn).refuseAlways
			case h != nil:
				handlers[sub] = h
			case verb == "help":
				handlers[sub] = func(c *conn, _ [][]byte) { c.help(s) }
			case family == "command":
				handlers[sub] = (*conn).describe
			}
			if h := ownByName[sub.Name]; h != nil {
				own[sub] = h
			}
		}
	}
}

func (c *conn) ok() {
	r := c.begin()
	r.OK()
	c.end(r)
}

func (c *conn) bulk(s string) {
	r := c.begin()
	r.BulkString(s)
	c.end(r)
}

func (c *conn) integer(n int64) {
	r := c.begin()
	r.Int(n)
	c.end(r)
}

func (c *conn) ping(args [][]byte) {
	if len(args) > 2 {
		c.fail(wrongArity("ping"))
		return
	}
	r := c.begin()
	if len(args) == 2 {
		r.Bulk(args[1])
	} else {
		r.Status("PONG")
	}
	c.end(r)
}

func (c *conn) echo(args [][]byte) {
	r := c.begin()
	r.Bulk(args[1])
	c.end(r)
}

func (c *conn) quit([][]byte) {
	c.ok()
	c.closing = true
}

func (c *conn) describe(args [][]byte) {
	r := c.begin()
	if !command.Describe(r, args) {
		r.Error(command.ErrSyntax)
	}
	c.end(r)
}

// help lists a container's subcommands, a line each.
func (c *conn) help(s *command.Spec) {
	r := c.begin()
	r.Array(1 + 2*len(s.Subcommands))
	r.Status(strings.ToUpper(s.Name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, sub := range s.Subcommands {
		r.Status(strings.ToUpper(sub.Name[len(s.Name)+1:]))
		r.Status("    " + sub.Summary)
	}
	c.end(r)
}

func (c *conn) time([][]byte) {
	now := c.srv.now()
	r := c.begin()
	r.Array(2)
	r.BulkString(strconv.FormatInt(now.Unix(), 10))
	r.BulkString(strconv.Itoa(now.Nanosecond() / 1000))
	c.end(r)
}

func (c *conn) selectDB(args [][]byte) {
	switch n, ok := parseInt(args[1]); {
	case !ok:
		c.fail(command.ErrNotInteger)
	case n != int64(int32(n)):
		c.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n != 0 && c.kind == ClusterPort:
		c.fail("ERR SELECT is not allowed in cluster mode")
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.ok()
	}
}

func (c *conn) setReadonly(args [][]byte) {
	if c.ns == nil || !c.clusterEnabled() {
		c.fail(noClusterMode)
		return
	}
	c.readonly = strings.EqualFold(string(args[0]), "readonly")
	c.ok()
}

// auth binds a shared connection to the namespace that is the user name; on a bound port it takes that namespace's name, or "default".
// A namespace without a password accepts any, as Redis's users with nopass do.
func (c *conn) auth(args [][]byte) {
	switch len(args) {
	case 2:
		if c.ns == nil || c.ns.Password == "" {
			c.fail(noPasswordSet)
			return
		}
		c.answerAuth(c.authenticate("default", args[1]))
	case 3:
		c.answerAuth(c.authenticate(string(args[1]), args[2]))
	default:
		c.fail(command.ErrSyntax)
	}
}

func (c *conn) answerAuth(ok bool) {
	if !ok {
		c.fail(wrongPass)
		return
	}
	c.ok()
}

func (c *conn) authenticate(user string, password []byte) bool {
	if user == "default" && c.nsName != "" {
		user = c.nsName
	}
	if c.kind != SharedPort && user != c.nsName {
		return false
	}
	ns, known := c.srv.backend.Namespace(user)
	if !known || ns.Password != "" && subtle.ConstantTimeCompare([]byte(ns.Password), password) != 1 {
		return false
	}
	c.nsName, c.authed = user, true
	c.lookUp()
	c.mu.Lock()
	c.mu.user, c.mu.ns, c.mu.authed = user, user, true
	c.mu.Unlock()
	return true
}

// reset makes the connection as it was when new.
func (c *conn) reset([][]byte) {
	c.endTransaction()
	c.endMonitor()
	c.resp3, c.readonly, c.authed, c.reply = false, false, false, replyOn
	if c.kind == SharedPort {
		c.nsName = ""
	}
	c.lookUp()
	c.mu.Lock()
	c.mu.name, c.mu.user, c.mu.resp3, c.mu.noEvict, c.mu.noTouch = "", "", false, false, false
	c.mu.ns, c.mu.authed = c.nsName, false
	c.mu.Unlock()
	r := c.begin()
	r.Status("RESET")
	c.end(r)
}

// hello agrees on the protocol. Nothing is changed when any part of it fails.
func (c *conn) hello(args [][]byte) {
	h, problem := parseHello(args)
	switch {
	case problem != "":
		c.fail(problem)
		return
	case h.auth && !c.authenticate(h.user, h.password):
		c.fail(wrongPass)
		return
	case c.strict:
		c.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.mu.Lock()
	if h.named {
		c.mu.name = h.name
	}
	if h.version != 0 {
		c.resp3 = h.version == 3
		c.mu.resp3 = c.resp3
	}
	c.mu.Unlock()
	c.describeServer()
}

func (c *conn) describeServer() {
	r := c.begin()
	proto, mode := int64(2), "standalone"
	if c.resp3 {
		proto = 3
	}
	if c.kind == ClusterPort {
		mode = "cluster"
	}
	r.Map(7)
	r.BulkString("server")
	r.BulkString("redis")
	r.BulkString("version")
	r.BulkString(redisVersion)
	r.BulkString("proto")
	r.Int(proto)
	r.BulkString("id")
	r.Int(int64(c.id))
	r.BulkString("mode")
	r.BulkString(mode)
	r.BulkString("role")
	r.BulkString("master")
	r.BulkString("modules")
	r.Array(0)
	c.end(r)
}

type hello struct {
	version  int64 // 0: as it is
	auth     bool
	user     string
	password []byte
	named    bool
	name     string
}

func parseHello(args [][]byte) (h hello, problem string) {
	if len(args) > 1 {
		n, ok := parseInt(args[1])
		if !ok {
			return h, "ERR Protocol version is not an integer or out of range"
		}
		if n != 2 && n != 3 {
			return h, "NOPROTO unsupported protocol version"
		}
		h.version = n
	}
	for i := 2; i < len(args); i++ {
		switch left := len(args) - i - 1; {
		case strings.EqualFold(string(args[i]), "AUTH") && left >= 2:
			h.auth, h.user, h.password = true, string(args[i+1]), args[i+2]
			i += 2
		case strings.EqualFold(string(args[i]), "SETNAME") && left >= 1:
			h.named, h.name = true, string(args[i+1])
			if !printable(h.name) {
				return h, badClientName
			}
			i++
		default:
			return h, "ERR Syntax error in HELLO option '" + string(args[i]) + "'"
		}
	}
	return h, ""
}
