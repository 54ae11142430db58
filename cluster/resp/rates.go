package resp

import "sync"

// rates are what INFO calls instantaneous: the mean over the latest samples, one a tick.
type rates struct {
	mu      sync.Mutex
	samples [rateSamples]rateSample
	n       uint64 // taken so far
}

const rateSamples = 16

type rateSample struct {
	at                   int64 // ns since the server's start
	commands, netIn, out uint64
}

func (r *rates) sample(s *Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[r.n%rateSamples] = rateSample{s.sinceStart(), s.stats.commands.Load(), s.stats.netIn.Load(), s.stats.netOut.Load()}
	r.n++
}

// perSecond are commands, and bytes read and written. They are 0 until there are two samples, and after CONFIG RESETSTAT until it has passed.
func (r *rates) perSecond() (commands, netIn, netOut float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n < 2 {
		return 0, 0, 0
	}
	first, last := r.samples[0], r.samples[(r.n-1)%rateSamples]
	if r.n >= rateSamples {
		first = r.samples[r.n%rateSamples]
	}
	seconds := float64(last.at-first.at) / 1e9
	rate := func(from, to uint64) float64 {
		if to < from || seconds <= 0 {
			return 0
		}
		return float64(to-from) / seconds
	}
	return rate(first.commands, last.commands), rate(first.netIn, last.netIn), rate(first.out, last.out)
}
