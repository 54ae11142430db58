package resp

import (
	"sync/atomic"

	"github.com/zankv/zankv/cluster/command"
)

// stats are the server's counters. Connections add to them once a round.
type stats struct {
	accepted, rejected, idle, stuck, dropped, protocolErrors atomic.Uint64
	commands, netIn, netOut                                  atomic.Uint64
	blocked                                                  atomic.Int64
	forwarded, forwardLost, served                           atomic.Uint64

	specs  map[*command.Spec]*specStats // its keys never change
	errors errorStats
}

// specStats are the figures of one command.
type specStats struct {
	calls, rejected, failed atomic.Uint64
	nanos, timed            atomic.Uint64 // of the calls that were timed: see trace
	times                   histogram
	untimed                 bool // its time is that of what it waits for
}

func (s *specStats) reset() {
	for _, n := range [...]*atomic.Uint64{&s.calls, &s.rejected, &s.failed, &s.nanos, &s.timed} {
		n.Store(0)
	}
	for i := range s.times {
		s.times[i].Store(0)
	}
}

func (s *stats) init() {
	s.specs = make(map[*command.Spec]*specStats)
	for _, spec := range command.All() {
		waits := spec.Name == "wait" || spec.Name == "waitaof"
		s.specs[spec] = &specStats{untimed: waits || spec.Flags&command.Blocking != 0}
		for _, sub := range spec.Subcommands {
			s.specs[sub] = new(specStats)
		}
	}
}

func (s *stats) called(spec *command.Spec, n uint64) {
	if n > 0 {
		s.specs[spec].calls.Add(n)
	}
}

func (s *stats) add(c *connCounts) {
	s.commands.Add(c.commands)
	s.netIn.Add(c.in)
	if c.out > 0 {
		s.netOut.Add(c.out)
	}
}

// reset is CONFIG RESETSTAT. Connections and clients that wait are gauges, and stay.
func (s *stats) reset() {
	for _, n := range [...]*atomic.Uint64{
		&s.accepted, &s.rejected, &s.idle, &s.stuck, &s.dropped, &s.protocolErrors, &s.commands, &s.netIn, &s.netOut,
		&s.forwarded, &s.forwardLost, &s.served,
	} {
		n.Store(0)
	}
	for _, of := range s.specs {
		of.reset()
	}
	s.errors.reset()
}

// Stats are a server's counters since it was made, or since CONFIG RESETSTAT, and gauges.
type Stats struct {
	Clients        int    // connections now
	Blocked        int    // of these, in a blocking command
	Accepted       uint64 // connections
	Rejected       uint64 // connections over MaxClients
	IdleClosed     uint64 // connections
	StuckClosed    uint64 // connections whose client took no replies
	Dropped        uint64 // connections whose replies exceeded MemoryBudget
	ProtocolErrors uint64
	Commands       uint64
	NetInBytes     uint64
	NetOutBytes    uint64
	BufferBytes    int64  // of MemoryBudget
	Forwarded      uint64 // requests sent to other nodes
	ForwardLost    uint64 // of these, the ones whose answer was lost
	Served         uint64 // requests answered for other nodes
	// Calls are per command, subcommands as "client|list"; commands that were never called aren't there.
	Calls map[string]uint64
}

// Stats reads the counters. They aren't read at one moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	clients := len(s.mu.conns)
	s.mu.Unlock()
	st := Stats{
		Clients: clients, Blocked: int(s.stats.blocked.Load()), Accepted: s.stats.accepted.Load(), Rejected: s.stats.rejected.Load(),
		IdleClosed: s.stats.idle.Load(), StuckClosed: s.stats.stuck.Load(), Dropped: s.stats.dropped.Load(), ProtocolErrors: s.stats.protocolErrors.Load(),
		Commands: s.stats.commands.Load(), NetInBytes: s.stats.netIn.Load(), NetOutBytes: s.stats.netOut.Load(),
		BufferBytes: s.budget.used.Load(), Forwarded: s.stats.forwarded.Load(), ForwardLost: s.stats.forwardLost.Load(),
		Served: s.stats.served.Load(), Calls: make(map[string]uint64),
	}
	for spec, of := range s.stats.specs {
		if n := of.calls.Load(); n > 0 {
			st.Calls[spec.Name] = n
		}
	}
	return st
}
