package resp

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/zankv/zankv/cluster/command"
)

// Texts about transactions: Redis's, the last three excepted.
const (
	execWithoutMulti    = "ERR EXEC without MULTI"
	discardWithoutMulti = "ERR DISCARD without MULTI"
	nestedMulti         = "ERR MULTI calls can not be nested"
	watchInMulti        = "ERR WATCH inside MULTI is not allowed"
	execAbort           = "EXECABORT Transaction discarded because of previous errors."
	execAbortFor        = "EXECABORT Transaction discarded because of: "
	tooManyWatched      = "ERR too many keys are watched"
	transactionTooLarge = "ERR the transaction is too large"
	notInMulti          = "ERR Command not allowed inside a transaction"
	wholeInMulti        = "ERR '%s' inside MULTI needs a namespace of one partition, this one has %d"
)

const (
	// maxQueued bounds a transaction's commands. Their bytes are bounded by Options.MaxQuery.
	maxQueued = 1 << 16
	// queuedOverhead is what a queued command costs beyond its arguments, argument what each of these does.
	queuedOverhead, argumentOverhead = 128, 24
	// here is the partition of what the front end answers.
	here = -1
)

// unqueued are the commands that act at once inside MULTI.
var unqueued = map[*command.Spec]bool{}

func init() {
	for _, name := range []string{"exec", "discard", "multi", "watch", "quit", "reset"} {
		unqueued[command.Lookup([]byte(name))] = true
	}
}

// transaction is what a connection keeps between MULTI, or WATCH, and EXEC.
type transaction struct {
	open bool
	// answering: EXEC's replies are being made. Nothing may wait, and nobody be asked.
	answering bool
	dirty     bool // a command was refused: EXEC will do nothing
	items     []item
	size      int64 // taken from the node's budget for items

	watched   []watchedKey
	watching  map[string]struct{} // the same by namespace and key
	watchSize int64               // taken from the node's budget for watched
}

// item is a queued command.
type item struct {
	command.Queued
	ns        *Namespace
	partition int
	prefixed  bool
	slot      int     // on a cluster port, of its keys; here for none
	scan      *cursor // SCAN and scans of elements: where it goes on from
	problem   string  // found by EXEC: its reply
}

type watchedKey struct {
	ns        *Namespace
	partition int
	slot      int
	command.Watch
}

func (c *conn) multi([][]byte) {
	if c.tx.open {
		c.fail(nestedMulti)
		return
	}
	c.tx.open = true
	c.queued.Store(0)
	c.ok()
}

func (c *conn) discard([][]byte) {
	if !c.tx.open {
		c.fail(discardWithoutMulti)
		return
	}
	c.endTransaction()
	c.ok()
}

func (c *conn) unwatch([][]byte) {
	c.forgetWatched()
	c.ok()
}

// endTransaction forgets everything about the transaction. What its commands took from the budget is given back when the round ends: they
// may be in work.
func (c *conn) endTransaction() {
	c.forgetWatched()
	c.dropItems()
	c.tx.open, c.tx.dirty = false, false
	c.queued.Store(-1)
}

func (c *conn) dropItems() {
	c.borrowed += c.tx.size
	c.tx.items, c.tx.size = nil, 0
}

func (c *conn) forgetWatched() {
	c.srv.budget.take(-c.tx.watchSize)
	c.tx.watched, c.tx.watching, c.tx.watchSize = nil, nil, 0
}

// abort notes that a command of the transaction was refused. Nothing of it will run, so nothing is kept.
func (c *conn) abort() {
	if c.tx.open {
		c.tx.dirty = true
		c.dropItems()
	}
}

// refuseCommand answers a command that isn't even looked at further. It ends the transaction that it belongs to.
func (c *conn) refuseCommand(args [][]byte, problem string) {
	if command.Lookup(args[0]) == command.Exec {
		c.endTransaction()
		problem = execAbortFor + strings.TrimPrefix(problem, "ERR ")
	}
	c.abort()
	c.fail(problem)
}

// queueCommand puts a command into the transaction, or refuses it and with it the transaction.
func (c *conn) queueCommand(spec *command.Spec, args [][]byte) {
	if !c.tx.dirty {
		it := item{Queued: command.Queued{Spec: spec}, partition: here, slot: here}
		problem := c.place(&it, args)
		if problem == "" {
			problem = c.keep(&it, args)
		}
		if problem != "" {
			c.abort()
			c.fail(problem)
			return
		}
	}
	c.queued.Add(1)
	r := c.begin()
	r.Status("QUEUED")
	c.end(r)
}

// place finds the partition of a queued command.
func (c *conn) place(it *item, args [][]byte) (problem string) {
	switch it.Spec.Scope {
	case command.ScopeConnection:
		return ""
	case command.ScopeNamespace:
		switch {
		case onTable[it.Spec] && it.Spec.Name != "scan": // its partitions' parts have another form
			return notInMulti
		case c.nsName == "":
			return unboundCommand
		case c.ns == nil:
			return noNamespace
		case c.ns.Partitions != 1:
			return fmt.Sprintf(wholeInMulti, it.Spec.Name, c.ns.Partitions)
		}
		it.ns, it.partition = c.ns, 0
		return c.redirect(it)
	}
	keys := c.keysOf(it.Spec, args)
	if keys.n == 0 {
		return ""
	}
	t, problem := c.locate(args, &keys)
	if problem != "" {
		return problem
	}
	if key := feedKey(args, &keys); key != nil {
		if problem := refuseFeed(it.Spec, key); problem != "" {
			return problem
		}
	}
	if t.spread != spreadOne {
		return crossSlot
	}
	it.ns, it.partition, it.prefixed = t.ns, t.partition, t.prefixed
	if c.kind == ClusterPort {
		it.slot = keySlot(args[keys.pos(0)])
	}
	return c.redirect(it)
}

// redirect sends a client of a cluster port to the leader before its command is queued, as Redis Cluster does.
func (c *conn) redirect(it *item) (problem string) {
	if c.kind != ClusterPort {
		return ""
	}
	if exec := c.srv.backend.Executor(it.ns, it.partition); exec != nil && exec.Leading() {
		return ""
	}
	leader, known := c.srv.backend.Leader(it.ns, it.partition)
	if !known || leader.ID == c.srv.opt.NodeID || leader.ClusterPort == 0 {
		return ""
	}
	slot := it.slot
	if slot == here {
		slot, _ = slotRange(it.ns, it.partition)
	}
	return movedTo(slot, leader)
}

// keep copies a command out of the query buffer.
func (c *conn) keep(it *item, args [][]byte) (problem string) {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	cost := int64(size + queuedOverhead + len(args)*argumentOverhead)
	switch {
	case len(c.tx.items) >= maxQueued:
		return fmt.Sprintf(transactionTooLarge+": it has %d commands already", maxQueued)
	case c.tx.size+cost > int64(c.srv.opt.MaxQuery):
		return fmt.Sprintf(transactionTooLarge+": its commands have over %d bytes", c.srv.opt.MaxQuery)
	case !c.srv.budget.take(cost):
		return "ERR " + errBuffersAreFull.Error()
	}
	c.tx.size += cost
	memory := make([]byte, 0, size)
	it.Args = make([][]byte, len(args))
	for i, a := range args {
		from := len(memory)
		memory = append(memory, a...)
		it.Args[i] = memory[from:len(memory):len(memory)]
	}
	c.tx.items = append(c.tx.items, *it)
	return ""
}

// exec runs the transaction: as one request to the partition of its keys, and what needs no partition here, behind it.
func (c *conn) exec(args [][]byte) {
	if !c.tx.open {
		c.fail(execWithoutMulti)
		return
	}
	items, dirty := c.tx.items, c.tx.dirty
	at, queue, watched := c.assemble()
	c.endTransaction()
	switch {
	case dirty:
		c.fail(execAbort)
	case at.apart:
		c.fail(crossSlot)
	case at.ns == nil:
		c.answerItems(items, nil)
	case len(queue) == len(items) && plain(items):
		c.apart(true)
		k := c.newTransaction(args, &at, queue, watched)
		c.enqueue(k)
		c.send(k)
	default:
		c.finish()
		reply := c.askCall(c.newTransaction(args, &at, queue, watched))
		if len(reply) == 0 || reply[0] != '*' || bytes.HasPrefix(reply, []byte("*-")) {
			c.raw(reply)
			return
		}
		c.answerItems(items, reply[valueHead(reply):])
	}
}

func (c *conn) newTransaction(args [][]byte, at *where, queue []command.Queued, watched []command.Watch) *call {
	k := c.newCall()
	k.Spec, k.Args, k.ns, k.partition = command.Exec, args, at.ns, at.partition
	k.Queue, k.Watched = queue, watched
	return k
}

// plain says that the partition's reply is the client's.
func plain(items []item) bool {
	for i := range items {
		if it := &items[i]; it.scan != nil || it.prefixed && repliesKey[it.Spec.Name] {
			return false
		}
	}
	return true
}

// assemble finds the transaction's partition (none if ns is nil) and what it has to run.
func (c *conn) assemble() (at where, queue []command.Queued, watched []command.Watch) {
	at = where{cluster: c.kind == ClusterPort, slot: here}
	if c.tx.dirty {
		return at, nil, nil
	}
	for i := range c.tx.watched {
		w := &c.tx.watched[i]
		at.add(w.ns, w.partition, w.slot)
		watched = append(watched, w.Watch)
	}
	queue = make([]command.Queued, 0, len(c.tx.items))
	for i := range c.tx.items {
		it := &c.tx.items[i]
		if it.partition == here {
			continue
		}
		at.add(it.ns, it.partition, it.slot)
		if c.resume(it) {
			queue = append(queue, it.Queued)
		}
	}
	return at, queue, watched
}

// where is the one partition of a transaction, and on a cluster port its one slot.
type where struct {
	cluster   bool
	ns        *Namespace
	partition int
	slot      int
	apart     bool // there isn't one
}

func (w *where) add(ns *Namespace, partition, slot int) {
	if w.ns == nil {
		w.ns, w.partition = ns, partition
	}
	// The namespace's configuration may have changed meanwhile: what counts is that its keys lie where they did.
	same := w.ns.Name == ns.Name && w.ns.Partitions == ns.Partitions && w.ns.Hash == ns.Hash && w.partition == partition
	if w.cluster && slot != here {
		if w.slot == here {
			w.slot = slot
		}
		same = same && w.slot == slot
	}
	w.ns = ns
	w.apart = w.apart || !same
}

// resume puts the place where a scan goes on into its arguments. False: it has a problem, and isn't for the partition.
func (c *conn) resume(it *item) bool {
	var problem string
	switch {
	case it.Spec.Name == "scan":
		if it.scan, problem = c.scanFrom(it.Args); problem == "" {
			it.Args = append([][]byte{it.Args[0], it.scan.from}, it.Args[2:]...)
		}
	case numbered(it.Spec, it.prefixed):
		if it.scan, problem = c.elementsFrom(it.Spec, it.Args); problem == "" {
			it.Args = withCursor(it.Args, it.scan.from)
		}
	}
	if problem != "" {
		it.partition, it.problem = here, problem
	}
	return problem == ""
}

// answerItems makes the reply of EXEC: replies has those of the partition.
func (c *conn) answerItems(items []item, replies []byte) {
	c.tx.answering = true
	defer func() { c.tx.answering = false }()
	r := c.begin()
	r.Array(len(items))
	c.end(r)
	for i := range items {
		it := &items[i]
		switch {
		case it.partition != here:
			n := valueLen(replies)
			c.answerItem(it, replies[:n:n])
			replies = replies[n:]
		case it.problem != "":
			c.fail(it.problem)
		case it.Spec.Scope == command.ScopeConnection:
			handlers[it.Spec](c, it.Args)
		default:
			c.keyless(it.Spec, it.Args)
		}
	}
}

// answerItem passes on what a partition answered to a queued command.
func (c *conn) answerItem(it *item, reply []byte) {
	switch {
	case it.scan != nil && it.scan.of != 0:
		c.answerElements(it.scan, reply)
	case it.scan != nil:
		c.answerPage(it.scan, it.ns, reply)
	case it.prefixed && repliesKey[it.Spec.Name]:
		c.raw(withNamespace(nil, reply, it.ns.Name))
	default:
		c.raw(reply)
	}
}

// raw replies with what is a reply already.
func (c *conn) raw(reply []byte) {
	r := c.begin()
	r.Buf = append(r.Buf, reply...)
	c.end(r)
}

// watch asks the partitions of its keys what they are now.
func (c *conn) watch(args [][]byte) {
	if c.tx.open {
		c.fail(watchInMulti)
		return
	}
	keys := c.keysOf(command.WatchRead, args)
	t, problem := c.locate(args, &keys)
	switch {
	case problem != "":
	case t.spread == spreadCross:
		problem = crossSlot
	default:
		problem = command.WatchRead.Check(args, &c.srv.opt.Limits)
	}
	if problem == "" && len(c.tx.watched)+keys.n > c.srv.opt.Limits.Batch {
		problem = fmt.Sprintf(tooManyWatched+": at most %d at a time", c.srv.opt.Limits.Batch)
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	c.finish()
	whole := c.newCall()
	whole.Spec, whole.Args = command.WatchRead, args
	c.split(whole, t.ns, args, false, t.prefixed)
	if c.open > 0 {
		c.runLanes()
	}
	gather(whole)
	reply := whole.Reply.Buf
	c.endRound(len(reply))
	if !c.noteWatched(t.ns, args[1:], reply) {
		c.raw(reply)
	}
}

// noteWatched keeps the tokens of keys and answers; false: reply is an error.
func (c *conn) noteWatched(ns *Namespace, keys [][]byte, reply []byte) bool {
	if len(reply) == 0 || reply[0] != '*' {
		return false
	}
	rest := reply[valueHead(reply):]
	for _, key := range keys {
		n := valueLen(rest)
		token := rest[valueHead(rest) : n-2]
		rest = rest[n:]
		if !c.watchKey(ns, key, token) {
			c.fail("ERR " + errBuffersAreFull.Error())
			return true
		}
	}
	c.ok()
	return true
}

// watchKey keeps a key's token, unless it has one: what counts is the first WATCH. False: there is no room.
func (c *conn) watchKey(ns *Namespace, key, token []byte) bool {
	name := ns.Name + ":" + string(key)
	if _, known := c.tx.watching[name]; known {
		return true
	}
	cost := int64(3*len(name) + len(token) + queuedOverhead)
	if !c.srv.budget.take(cost) {
		return false
	}
	c.tx.watchSize += cost
	if c.tx.watching == nil {
		c.tx.watching = make(map[string]struct{})
	}
	c.tx.watching[name] = struct{}{}
	w := watchedKey{ns: ns, partition: ns.partition(key), slot: here, Watch: command.Watch{Key: bytes.Clone(key), Token: bytes.Clone(token)}}
	if c.kind == ClusterPort {
		w.slot = keySlot(key)
	}
	c.tx.watched = append(c.tx.watched, w)
	return true
}
