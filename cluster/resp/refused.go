package resp

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/zankv/zankv/cluster/command"
)

// refusals are commands of Redis that tools send, for which there is nothing here, and what they get. The last ones are Redis's own words.
var refusals = map[string]string{
	"save":           "ERR SAVE isn't needed: each write is on disk when it is answered",
	"bgsave":         "ERR BGSAVE isn't needed: each write is on disk when it is answered",
	"bgrewriteaof":   "ERR there is no append-only file to rewrite: logs are cut off by themselves",
	"lastsave":       "ERR there are no snapshots: each write is on disk when it is answered",
	"shutdown":       "ERR SHUTDOWN is refused: a node is stopped by who started it",
	"config|rewrite": "ERR The server is running without a config file",
	"debug": "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, " +
		"otherwise you need to set this option in the configuration file, and then restart the server.",
	"replicaof": "ERR REPLICAOF not allowed in cluster mode.",
	"slaveof":   "ERR REPLICAOF not allowed in cluster mode.",
	"swapdb":    "ERR SWAPDB is not allowed in cluster mode",
	"move":      "ERR MOVE is not allowed in cluster mode",
}

// role is that of a master without replicas: partitions replicate, nodes don't.
func (c *conn) role([][]byte) {
	r := c.begin()
	r.Array(3)
	r.BulkString("master")
	r.Int(0)
	r.Array(0)
	c.end(r)
}

func (c *conn) aclWhoAmI([][]byte) {
	user := c.mu.user // written by this goroutine only
	if user == "" {
		user = "default"
	}
	c.bulk(user)
}

func (c *conn) memoryPurge([][]byte) {
	debug.FreeOSMemory()
	c.ok()
}

// memoryStats replies what of Redis's figures there is.
func (c *conn) memoryStats([][]byte) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fields := []struct {
		name  string
		value int64
	}{
		{"total.allocated", int64(m.HeapAlloc)},
		{"clients.normal", c.srv.budget.used.Load() + int64(c.srv.Stats().Clients)*firstBuffer},
		{"allocator.allocated", int64(m.HeapAlloc)},
		{"allocator.active", int64(m.HeapInuse)},
		{"allocator.resident", int64(m.HeapSys - m.HeapReleased)},
		{"rss", int64(rss())},
	}
	r := c.begin()
	r.Map(len(fields))
	for _, f := range fields {
		r.BulkString(f.name)
		r.Int(f.value)
	}
	c.end(r)
}

func (c *conn) memoryMallocStats([][]byte) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r := c.begin()
	r.Verbatim(fmt.Sprintf("heap: %d bytes in %d objects, %d in use, %d idle, %d given back, %d from the system\nstacks: %d bytes\ngarbage collections: %d, %d ns of pauses\n",
		m.HeapAlloc, m.HeapObjects, m.HeapInuse, m.HeapIdle, m.HeapReleased, m.HeapSys, m.StackInuse, m.NumGC, m.PauseTotalNs))
	c.end(r)
}

func (c *conn) memoryDoctor([][]byte) {
	used, limit := c.srv.budget.used.Load(), c.srv.budget.limit
	var text strings.Builder
	fmt.Fprintf(&text, "The buffers of clients hold %d of %d bytes.", used, limit)
	if c.srv.pressed() {
		text.WriteString(" That is much: look for large commands and replies, and slow clients, with CLIENT LIST.")
	}
	if dropped := c.srv.Stats().Dropped; dropped > 0 {
		fmt.Fprintf(&text, " %d connections were closed for want of memory.", dropped)
	}
	text.WriteByte('\n')
	r := c.begin()
	r.Verbatim(text.String())
	c.end(r)
}

func (c *conn) refuseAlways(args [][]byte) {
	if spec := named(args); spec != nil {
		c.fail(refusals[spec.Name])
		return
	}
	c.fail(command.ErrSyntax)
}
