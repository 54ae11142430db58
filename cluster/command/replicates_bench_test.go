//go:build cgo

package command_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine/rocks"
	"github.com/zankv/zankv/cluster/store"
)

// BenchmarkReplicates measures what it costs a store that its namespace replicates: commands evaluated over rows of RocksDB, 64 an event, 4 events a commit,
// with the watermark 30 s behind and what is under it reclaimed. A second of the story has 1024 commands.
func BenchmarkReplicates(b *testing.B) {
	for _, load := range []struct {
		name  string
		lines []string // each round over the keys has the next
	}{
		{"set", []string{"set"}}, {"del,set", []string{"del", "set"}}, {"del,set,set,set", []string{"del", "set", "set", "set"}}, {"set,incr", []string{"set", "incr"}},
		{"hset,hdel", []string{"hset", "hdel"}}, {"sadd,srem", []string{"sadd", "srem"}},
	} {
		for _, replicates := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/replicates=%v", load.name, replicates), func(b *testing.B) { benchReplicates(b, load.lines, replicates) })
		}
	}
}

const (
	loadKeys   = 50_000
	loadEvent  = 64
	loadCommit = 4
)

// loaded is a part whose view shows tombstones only where they are kept, as a partition's does.
type loaded struct {
	*part
	replicates bool
	specs      []*command.Spec
	args       [][][]byte
	value      []byte
	reply      command.Reply
	data       []byte
}

func benchReplicates(b *testing.B, lines []string, replicates bool) {
	shared := rocks.NewShared(rocks.SharedOptions{})
	e, err := rocks.Open(b.TempDir(), shared, rocks.Options{})
	check(b, err)
	defer func() {
		check(b, e.Close())
		check(b, shared.Close())
	}()
	l := &loaded{replicates: replicates, part: &part{t: b, site: &site{name: "dc-a"}, self: 1, pos: event.Position{Term: 1}, clock: 1_800_000_000_000_000_000}, value: bytes.Repeat([]byte("0"), 128)}
	l.store, err = store.Open(e, store.Identity{Cluster: "dc-a", Namespace: "n"}, store.NewCache(64<<20))
	check(b, err)
	l.store.SetCaching(true)
	l.apply = l.store.NewApply()
	l.ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
	key := make([]byte, 16)
	for _, word := range lines {
		args := map[string][][]byte{"set": {l.value}, "del": {}, "incr": {}, "hset": {[]byte("field"), l.value}, "hdel": {[]byte("field")}, "sadd": {[]byte("member")}, "srem": {[]byte("member")}}[word]
		l.specs = append(l.specs, command.Lookup([]byte(word)))
		l.args = append(l.args, append([][]byte{[]byte(word), key}, args...))
	}
	n := 0
	for ; n < loadKeys; n++ {
		l.one(n)
	}
	b.ReportAllocs()
	b.ResetTimer()
	spent := cpuTime(b)
	for done := 0; done < b.N; done, n = done+1, n+1 {
		l.one(n)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-spent)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has computed (ns), the engine's own threads included: time that passes says little on a busy machine.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// Meta implements command.View.
func (l *loaded) Meta(key []byte) (m event.Meta, ok bool, err error) {
	if l.replicates {
		return l.part.Meta(key)
	}
	m, l.part.buf, ok, err = l.store.Meta(l.part.buf[:0], key)
	return m, ok, err
}

// Element implements command.View.
func (l *loaded) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	if l.replicates {
		return l.part.Element(key, m, sub)
	}
	e, l.part.buf, ok, err = l.store.Element(l.part.buf[:0], key, m, sub)
	return e, ok, err
}

// one runs the next command, and what is due after it.
func (l *loaded) one(n int) {
	which := n / loadKeys % len(l.specs)
	copy(l.args[which][1], fmt.Sprintf("k:%014d", n*7919%loadKeys))
	c := &l.ctx
	c.Spec, c.Args, c.Reply = l.specs[which], l.args[which], &l.reply
	c.View, c.Tx, c.Now, c.Replicates, c.MemberTombstones, c.Watermark = l, l, l.clock/1e6, l.replicates, l.replicates, 0
	if l.replicates {
		c.Watermark = l.store.Watermark()
	}
	if len(l.ev.Mutations) == 0 {
		l.clock += int64(1e9) * loadEvent / 1024
		l.ev.Time, l.ev.Term = l.clock, 1
	}
	l.reply.Buf = l.reply.Buf[:0]
	check(l.t, c.Spec.Run(c))
	if (n+1)%loadEvent == 0 {
		l.write(n)
	}
}

func (l *loaded) write(n int) {
	if l.replicates && n/loadEvent%160 == 159 {
		l.ev.Own = append(l.ev.Own, store.Watermark(l.clock-30e9))
	}
	l.pos.Index++
	l.data = event.Append(l.data[:0], &l.ev)
	check(l.t, l.apply.Event(l.pos, &l.ev))
	l.ev = event.Event{Mutations: l.ev.Mutations[:0]}
	if l.pos.Index%loadCommit != 0 {
		return
	}
	check(l.t, l.apply.Commit())
	if l.store.CleanDue() {
		_, err := l.store.Clean(1024)
		check(l.t, err)
	}
}
