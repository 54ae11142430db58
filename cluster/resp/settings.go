package resp

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// settings are what CONFIG SET changes while the server runs. They hold until it ends.
type settings struct {
	slowlogSlowerThan atomic.Int64 // µs; negative: nothing is logged
	slowlogMaxLen     atomic.Int64
	latencyThreshold  atomic.Int64 // ms; 0: latency isn't monitored
	maxClients        atomic.Int64
	idleTimeout       atomic.Int64 // ns; 0: never
}

// setting is one parameter: where it is, in which unit, and what it may be.
type setting struct {
	value    func(*settings) *atomic.Int64
	unit     int64
	min, max int64
}

var settable = map[string]setting{
	"slowlog-log-slower-than":   {func(s *settings) *atomic.Int64 { return &s.slowlogSlowerThan }, 1, -1, math.MaxInt64},
	"slowlog-max-len":           {func(s *settings) *atomic.Int64 { return &s.slowlogMaxLen }, 1, 0, 1 << 20},
	"latency-monitor-threshold": {func(s *settings) *atomic.Int64 { return &s.latencyThreshold }, 1, 0, math.MaxInt64},
	"maxclients":                {func(s *settings) *atomic.Int64 { return &s.maxClients }, 1, 1, math.MaxUint32},
	"timeout":                   {func(s *settings) *atomic.Int64 { return &s.idleTimeout }, int64(time.Second), 0, math.MaxInt32},
}

func (s *settings) init(opt *Options) {
	s.slowlogSlowerThan.Store(10000)
	s.slowlogMaxLen.Store(128)
	s.maxClients.Store(int64(opt.MaxClients))
	s.idleTimeout.Store(int64(max(opt.IdleTimeout, 0)))
}

// add puts the settings' values among the parameters.
func (s *settings) add(parameters map[string]string) {
	for name, p := range settable {
		parameters[name] = strconv.FormatInt(p.value(s).Load()/p.unit, 10)
	}
}

// applySettings makes the server go by what the settings are now.
func (s *Server) applySettings() {
	from := int64(math.MaxInt64) // ns from which on a command is looked at
	if micros := s.settings.slowlogSlowerThan.Load(); micros >= 0 {
		from = min(micros, math.MaxInt64/1000) * 1000
	}
	if ms := s.settings.latencyThreshold.Load(); ms > 0 {
		from = min(from, min(ms, math.MaxInt64/1000000)*1000000)
	}
	s.slowFrom.Store(from)
	s.slowlog.trim(int(s.settings.slowlogMaxLen.Load()))
}

// configSet sets all of its parameters, or none.
func (c *conn) configSet(args [][]byte) {
	values, problem := c.srv.parseSettings(args[2:])
	if problem != "" {
		c.fail(problem)
		return
	}
	for name, v := range values {
		p := settable[name]
		p.value(&c.srv.settings).Store(v * p.unit)
	}
	c.srv.applySettings()
	c.ok()
}

func (s *Server) parseSettings(args [][]byte) (values map[string]int64, problem string) {
	if len(args)%2 != 0 {
		return nil, command.ErrSyntax
	}
	known := s.parameters()
	values = make(map[string]int64)
	failed := func(name []byte, reason string) (map[string]int64, string) {
		return nil, "ERR CONFIG SET failed (possibly related to argument '" + string(name) + "') - " + reason
	}
	for _, pair := range slices.Collect(slices.Chunk(args, 2)) {
		name := strings.ToLower(string(pair[0]))
		p, ok := settable[name]
		if _, fixed := known[name]; !fixed {
			return nil, "ERR Unknown option or number of arguments for CONFIG SET - '" + string(pair[0]) + "'"
		}
		if !ok {
			return failed(pair[0], "can't set immutable config")
		}
		if _, twice := values[name]; twice {
			return failed(pair[0], "duplicate parameter")
		}
		n, ok := parseInt(pair[1])
		switch {
		case !ok:
			return failed(pair[0], "argument couldn't be parsed into an integer")
		case n < p.min || n > p.max:
			return failed(pair[0], fmt.Sprintf("argument must be between %d and %d inclusive", p.min, p.max))
		}
		values[name] = n
	}
	return values, ""
}

// limitParameters are the limits of commands, by their names in the node's configuration file: there they are set, as every node checks them.
func limitParameters(l *command.Limits) map[string]string {
	return map[string]string{
		"max-key-bytes": strconv.Itoa(l.Key), "max-subkey-bytes": strconv.Itoa(l.SubKey), "max-value-bytes": strconv.Itoa(l.Value),
		"max-batch": strconv.Itoa(l.Batch), "max-pfadd": strconv.Itoa(l.PFAdd), "max-scan-count": strconv.Itoa(l.ScanCount),
		"max-bit-offset": strconv.FormatInt(int64(l.BitOffset), 10), "max-keys": strconv.Itoa(l.Keys),
	}
}

func (c *conn) configResetStat([][]byte) {
	c.srv.stats.reset()
	c.ok()
}
