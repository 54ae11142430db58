package resp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zankv/zankv/cluster/command"
)

// latencySamples is how many samples of an event are kept.
const latencySamples = 160

// latency keeps, for each event, what took longer than latency-monitor-threshold: one sample a second, the longest.
type latency struct {
	mu     sync.Mutex
	events map[string]*latencyEvent
}

type latencyEvent struct {
	samples []latencySample // in order of time
	longest int64           // ms, since the event was reset
}

type latencySample struct{ at, ms int64 }

func (l *latency) add(event string, at, ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.events[event]
	if e == nil {
		if l.events == nil {
			l.events = make(map[string]*latencyEvent)
		}
		e = new(latencyEvent)
		l.events[event] = e
	}
	e.longest = max(e.longest, ms)
	if n := len(e.samples); n > 0 && e.samples[n-1].at == at {
		e.samples[n-1].ms = max(e.samples[n-1].ms, ms)
		return
	}
	if len(e.samples) == latencySamples {
		e.samples = slices.Delete(e.samples, 0, 1)
	}
	e.samples = append(e.samples, latencySample{at, ms})
}

// read gives a copy of the events.
func (l *latency) read() map[string]latencyEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]latencyEvent, len(l.events))
	for name, e := range l.events {
		all[name] = latencyEvent{slices.Clone(e.samples), e.longest}
	}
	return all
}

// reset forgets some events, or all, and says how many.
func (l *latency) reset(names [][]byte) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(names) == 0 {
		n = len(l.events)
		l.events = nil
		return n
	}
	for _, name := range names {
		if _, ok := l.events[string(name)]; ok {
			delete(l.events, string(name))
			n++
		}
	}
	return n
}

func (c *conn) latencyLatest([][]byte) {
	events := c.srv.latency.read()
	r := c.begin()
	r.Array(len(events))
	for _, name := range slices.Sorted(maps.Keys(events)) {
		e := events[name]
		last := e.samples[len(e.samples)-1]
		r.Array(4)
		r.BulkString(name)
		r.Int(last.at)
		r.Int(last.ms)
		r.Int(e.longest)
	}
	c.end(r)
}

func (c *conn) latencyHistory(args [][]byte) {
	e := c.srv.latency.read()[string(args[2])]
	r := c.begin()
	r.Array(len(e.samples))
	for _, s := range e.samples {
		r.Array(2)
		r.Int(s.at)
		r.Int(s.ms)
	}
	c.end(r)
}

func (c *conn) latencyReset(args [][]byte) { c.integer(int64(c.srv.latency.reset(args[2:]))) }

func (c *conn) latencyGraph(args [][]byte) {
	e, ok := c.srv.latency.read()[string(args[2])]
	if !ok {
		c.fail("ERR No samples available for event '" + string(args[2]) + "'")
		return
	}
	r := c.begin()
	r.Verbatim(e.graph(string(args[2]), c.srv.now().Unix()))
	c.end(r)
}

// graph draws a line for each sample.
func (e *latencyEvent) graph(name string, now int64) string {
	const width = 60
	var text strings.Builder
	fmt.Fprintf(&text, "%s - high %d ms (all time high %d ms)\n", name, e.highest(), e.longest)
	for _, s := range e.samples {
		bar := strings.Repeat("#", int(max(1, s.ms*width/max(e.highest(), 1))))
		fmt.Fprintf(&text, "%6ds ago %8d ms %s\n", now-s.at, s.ms, bar)
	}
	return text.String()
}

func (e *latencyEvent) highest() (ms int64) {
	for _, s := range e.samples {
		ms = max(ms, s.ms)
	}
	return ms
}

func (c *conn) latencyDoctor([][]byte) {
	var text strings.Builder
	threshold := c.srv.settings.latencyThreshold.Load()
	events := c.srv.latency.read()
	switch {
	case threshold == 0 && len(events) == 0:
		text.WriteString("Latency isn't monitored: set it going with CONFIG SET latency-monitor-threshold <milliseconds>.\n")
	case len(events) == 0:
		fmt.Fprintf(&text, "Nothing took %d ms or longer.\n", threshold)
	}
	for _, name := range slices.Sorted(maps.Keys(events)) {
		e := events[name]
		sum := int64(0)
		for _, s := range e.samples {
			sum += s.ms
		}
		fmt.Fprintf(&text, "%s: %d samples of %d ms on average, the longest ever %d ms, the last %d s ago. SLOWLOG GET has the commands.\n",
			name, len(e.samples), sum/int64(len(e.samples)), e.longest, c.srv.now().Unix()-e.samples[len(e.samples)-1].at)
	}
	r := c.begin()
	r.Verbatim(text.String())
	c.end(r)
}

// latencyHistogram replies the distribution of commands' times. Unknown names are passed over; a container stands for its subcommands.
func (c *conn) latencyHistogram(args [][]byte) {
	var specs []*command.Spec
	if len(args) == 2 {
		specs = command.All()
	}
	for _, name := range args[2:] {
		container, sub, _ := strings.Cut(string(name), "|")
		words := [][]byte{[]byte(container)}
		if sub != "" {
			words = append(words, []byte(sub))
		}
		if spec := named(words); spec != nil {
			specs = append(specs, spec)
		}
	}
	var list []timesOf
	for _, spec := range specs {
		list = c.srv.stats.appendTimes(list, spec)
		for _, sub := range spec.Subcommands {
			list = c.srv.stats.appendTimes(list, sub)
		}
	}
	r := c.begin()
	r.Map(len(list))
	for i := range list {
		list[i].reply(r)
	}
	c.end(r)
}

// timesOf are the times of one command.
type timesOf struct {
	name   string
	total  uint64
	counts [histogramBuckets]uint64
}

// appendTimes appends a command's times if it has any.
func (s *stats) appendTimes(list []timesOf, spec *command.Spec) []timesOf {
	counts, total := s.specs[spec].times.counts()
	if total == 0 {
		return list
	}
	return append(list, timesOf{spec.Name, total, counts})
}

func (t *timesOf) reply(r *command.Reply) {
	r.BulkString(t.name)
	r.Map(2)
	r.BulkString("calls")
	r.Int(int64(t.total))
	r.BulkString("histogram_usec")
	list := steps(&t.counts)
	r.Map(len(list))
	for _, s := range list {
		r.Int(s.micros)
		r.Int(int64(s.below))
	}
}
