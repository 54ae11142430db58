package resp

import (
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// A command's time, for INFO, SLOWLOG and LATENCY, is that from the end of the command before it on the connection, or from when its bytes
// were read, to its outcome: for a write that is when it is committed, with what came of retries and other nodes. Redis's is execution alone.
// Writing the reply isn't part of it. Commands that a round puts into lanes have the round's end as theirs. A command that may wait for its
// keys, or for replicas, is counted and not timed, as it can't be said how much of its time was waiting. It costs one reading of the clock a command.
type trace struct {
	mark   int64 // when the command in work began, ns since the server did
	failed bool  // its reply is an error
	tally  tally
}

// tally sums a run of one command's times, so that what all connections share is touched once a run.
type tally struct {
	spec         *command.Spec
	stats        *specStats
	nanos, timed uint64
	bucket       int
	inBucket     uint64
	failing      uint64
}

func (s *Server) sinceStart() int64 { return int64(time.Since(s.started)) }

// timed notes the time of the command that was just dispatched, if it is done; else its call has it noted.
func (c *conn) timed(spec *command.Spec, args [][]byte) {
	now, begun := c.srv.sinceStart(), c.mark
	c.mark = now
	if n := len(c.queue); n > 0 {
		if k := c.queue[n-1]; k.Spec != nil && k.begun == 0 {
			k.begun = begun
			if k.Outcome != command.Answered || len(k.parts) > 0 || k.isLarge {
				return
			}
			c.noteCall(k, now)
			return
		}
	}
	c.note(spec, now-begun, args, c.failed)
}

// noteCall notes a call of the queue that has its reply.
func (c *conn) noteCall(k *call, now int64) {
	if k.begun <= 0 {
		return
	}
	failed := len(k.Reply.Buf) > 0 && k.Reply.Buf[0] == '-'
	if failed {
		c.srv.stats.errors.add(k.Reply.Buf)
	}
	c.note(k.Spec, now-k.begun, k.Args, failed)
	k.begun = -1
}

func (c *conn) note(spec *command.Spec, ns int64, args [][]byte, failed bool) {
	t := &c.tally
	if spec != t.spec {
		t.flush()
		t.spec, t.stats = spec, c.srv.stats.specs[spec]
	}
	if failed {
		t.failing++
	}
	if t.stats.untimed {
		return
	}
	if b := timeBucket(ns); b != t.bucket {
		t.flushBucket()
		t.bucket = b
	}
	t.inBucket++
	t.timed++
	t.nanos += uint64(ns)
	if ns >= c.srv.slowFrom.Load() {
		c.srv.slow(c, spec, ns, args)
	}
}

func (t *tally) flush() {
	if t.timed > 0 {
		t.stats.nanos.Add(t.nanos)
		t.stats.timed.Add(t.timed)
		t.nanos, t.timed = 0, 0
		t.flushBucket()
	}
	if t.failing > 0 {
		t.stats.failed.Add(t.failing)
		t.failing = 0
	}
}

func (t *tally) flushBucket() {
	if t.inBucket > 0 {
		t.stats.times[t.bucket].Add(t.inBucket)
		t.inBucket = 0
	}
}

// rejected counts a command that was refused before it was run.
func (c *conn) rejected(args [][]byte) {
	c.mark = c.srv.sinceStart()
	if spec := named(args); spec != nil {
		c.srv.stats.specs[spec].rejected.Add(1)
	}
}

// named is the command that the first words name, nil if none.
func named(args [][]byte) *command.Spec {
	spec, _ := command.LookupStale(args[0])
	if spec != nil && len(spec.Subcommands) > 0 && len(args) > 1 {
		spec = spec.Subcommand(args[1])
	}
	return spec
}

// slow has a slow command logged, and counted as a latency event.
func (s *Server) slow(c *conn, spec *command.Spec, ns int64, args [][]byte) {
	if from := s.settings.slowlogSlowerThan.Load(); from >= 0 && ns/1000 >= from && spec.Flags&command.SkipSlowlog == 0 {
		s.slowlog.add(c, spec, ns, args, int(s.settings.slowlogMaxLen.Load()))
	}
	if from := s.settings.latencyThreshold.Load(); from > 0 && ns/1e6 >= from {
		event := "command"
		if spec.Flags&command.Fast != 0 {
			event = "fast-command"
		}
		s.latency.add(event, s.now().Unix(), ns/1e6)
	}
}
