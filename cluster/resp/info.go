package resp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// redisVersion is the Redis whose replies these are.
const redisVersion = "7.2.0"

// infoSections are INFO's sections in their order. Some come only when they are asked for, or with all of them.
var infoSections = []string{
	"server", "clients", "memory", "persistence", "stats", "replication", "raft", "cdc", "cpu", "modules", "commandstats", "errorstats",
	"latencystats", "cluster", "keyspace",
}

var infoOnDemand = map[string]bool{"commandstats": true, "latencystats": true}

// title is a section's heading.
func title(section string) string {
	if section == "cpu" || section == "cdc" {
		return strings.ToUpper(section)
	}
	return strings.ToUpper(section[:1]) + section[1:]
}

func (c *conn) info(args [][]byte) {
	var text strings.Builder
	for _, section := range wantedSections(args[1:]) {
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString("# " + title(section) + "\r\n")
		for _, f := range c.infoFields(section) {
			text.WriteString(f.Name + ":" + f.Value + "\r\n")
		}
	}
	r := c.begin()
	r.Verbatim(text.String())
	c.end(r)
}

func wantedSections(args [][]byte) []string {
	byDefault := func(section string) bool { return !infoOnDemand[section] }
	wanted := make(map[string]bool)
	if len(args) == 0 {
		args = [][]byte{[]byte("default")}
	}
	for _, a := range args {
		name := strings.ToLower(string(a))
		for _, section := range infoSections {
			switch name {
			case "default":
				wanted[section] = wanted[section] || byDefault(section)
			case "all":
				wanted[section] = wanted[section] || section != "modules"
			case "everything", section:
				wanted[section] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(infoSections), func(s string) bool { return !wanted[s] })
}

// infoFields are the front end's own lines, then the backend's.
func (c *conn) infoFields(section string) []InfoField {
	var f []InfoField
	switch section {
	case "server":
		f = c.srv.infoServer(c)
	case "clients":
		f = c.srv.infoClients()
	case "memory":
		f = c.srv.infoMemory()
	case "stats":
		f = c.srv.infoStats()
	case "cluster":
		f = []InfoField{{"cluster_enabled", flag(c.kind == ClusterPort)}}
	case "cpu":
		f = infoCPU()
	case "commandstats":
		f = c.srv.infoCommands()
	case "errorstats":
		f = c.srv.infoErrors()
	case "latencystats":
		f = c.srv.infoLatencies()
	}
	return append(f, c.srv.backend.Info(c.ns, section)...)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (s *Server) infoServer(c *conn) []InfoField {
	mode := "standalone"
	if c.kind == ClusterPort {
		mode = "cluster"
	}
	up := int64(s.now().Sub(s.started).Seconds())
	s.mu.Lock()
	port := s.mu.ports[SharedPort]
	s.mu.Unlock()
	return []InfoField{
		{"redis_version", redisVersion}, {"zankv_version", s.opt.Version}, {"redis_mode", mode},
		{"os", runtime.GOOS + " " + runtime.GOARCH}, {"arch_bits", strconv.Itoa(strconv.IntSize)},
		{"go_version", runtime.Version()}, {"process_id", strconv.Itoa(os.Getpid())},
		{"run_id", s.runID}, {"node_id", strconv.FormatUint(s.opt.NodeID, 10)}, {"tcp_port", strconv.Itoa(port)},
		{"server_time_usec", strconv.FormatInt(s.now().UnixMicro(), 10)},
		{"uptime_in_seconds", strconv.FormatInt(up, 10)}, {"uptime_in_days", strconv.FormatInt(up/86400, 10)},
	}
}

func (s *Server) infoClients() []InfoField {
	st := s.Stats()
	return []InfoField{
		{"connected_clients", strconv.Itoa(st.Clients)}, {"maxclients", strconv.FormatInt(s.settings.maxClients.Load(), 10)},
		{"blocked_clients", strconv.Itoa(st.Blocked)}, {"tracking_clients", "0"}, {"pubsub_clients", "0"}, {"client_buffer_bytes", strconv.FormatInt(st.BufferBytes, 10)},
	}
}

func (s *Server) infoMemory() []InfoField {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return []InfoField{
		{"used_memory", strconv.FormatUint(m.HeapAlloc, 10)}, {"used_memory_human", human(m.HeapAlloc)},
		{"used_memory_rss", strconv.FormatUint(rss(), 10)}, {"used_memory_rss_human", human(rss())},
		{"go_heap_sys", strconv.FormatUint(m.HeapSys, 10)}, {"go_gc_cycles", strconv.FormatUint(uint64(m.NumGC), 10)},
		{"maxmemory", "0"}, {"maxmemory_policy", "noeviction"}, {"client_buffer_limit", strconv.FormatInt(s.opt.MemoryBudget, 10)},
	}
}

// rss is the process's resident memory in bytes, 0 where the system doesn't say.
func rss() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	fmt.Sscan(string(b), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

func human(n uint64) string {
	const units = "BKMGT"
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatUint(n, 10) + "B"
	}
	return strconv.FormatFloat(f, 'f', 2, 64) + units[i:i+1]
}

func (s *Server) infoStats() []InfoField {
	st := s.Stats()
	commands, in, out := s.rates.perSecond()
	errors, _ := s.stats.errors.counts()
	kilobytes := func(perSecond float64) string { return strconv.FormatFloat(perSecond/1024, 'f', 2, 64) }
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return []InfoField{
		{"total_connections_received", u(st.Accepted)}, {"total_commands_processed", u(st.Commands)},
		{"instantaneous_ops_per_sec", strconv.FormatFloat(commands, 'f', 0, 64)},
		{"total_net_input_bytes", u(st.NetInBytes)}, {"total_net_output_bytes", u(st.NetOutBytes)},
		{"instantaneous_input_kbps", kilobytes(in)}, {"instantaneous_output_kbps", kilobytes(out)},
		{"evicted_keys", "0"}, {"evicted_clients", "0"}, {"total_error_replies", u(errors)},
		{"rejected_connections", u(st.Rejected)}, {"idle_closed_connections", u(st.IdleClosed)},
		{"client_output_buffer_limit_disconnections", u(st.StuckClosed + st.Dropped)}, {"protocol_errors", u(st.ProtocolErrors)},
		{"forwarded_requests", u(st.Forwarded)}, {"forwarded_requests_lost", u(st.ForwardLost)},
		{"forwarded_requests_served", u(st.Served)}, {"scan_cursors", strconv.Itoa(s.cursors.len())},
	}
}
