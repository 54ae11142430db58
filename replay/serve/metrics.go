package serve

import (
	"sync/atomic"

	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/writestats"
)

// Metrics are counts since the server was made.
type Metrics struct {
	Ranges, Chunks atomic.Uint64 // that were handed to a replica
	Bytes          atomic.Uint64 // of their content as it came
	Plain          atomic.Uint64 // of it unpacked
	// Applied, Skipped and Conflicts are mutations by what became of them.
	Applied, Skipped, Conflicts atomic.Uint64
	refusals                    [kinds]atomic.Uint64
	// Net is how old changes were when they had come, All when they were here for good: by the sender's clock and this node's.
	Net, All writestats.Latency
	// Sizes are of ranges and chunks, unpacked.
	Sizes writestats.Sizes
}

// kinds are replaypb.Problem's.
const kinds = 11

func (m *Metrics) refused(k problem.Kind) {
	if int(k) < kinds {
		m.refusals[k].Add(1)
	}
}

// Refusals are the calls that ended with a problem, by its kind.
func (m *Metrics) Refusals() map[problem.Kind]uint64 {
	all := make(map[problem.Kind]uint64, kinds)
	for k := range m.refusals {
		all[problem.Kind(k)] = m.refusals[k].Load()
	}
	return all
}

// Metrics are the server's counts.
func (s *Server) Metrics() *Metrics { return &s.metrics }

// Memory is how many bytes of ranges and chunks are here, and may be.
func (s *Server) Memory() (used, total int64) { return s.budget.used.Load(), s.budget.total }

// Calls is how many calls of Apply are served at the moment.
func (s *Server) Calls() int64 { return s.calls.Load() }
