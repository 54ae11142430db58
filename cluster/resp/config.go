package resp

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/zankv/zankv/cluster/glob"
)

// parameters are what CONFIG GET knows: names of Redis where the meaning is the same, with the values in force.
func (s *Server) parameters() map[string]string {
	number := func(n int) string { return strconv.Itoa(n) }
	p := map[string]string{
		"proto-max-bulk-len":         number(s.opt.MaxBulk),
		"client-query-buffer-limit":  number(s.opt.MaxQuery),
		"maxmemory-clients":          strconv.FormatInt(s.opt.MemoryBudget, 10),
		"client-output-buffer-limit": "normal 0 0 " + number(int(s.opt.OutputTimeout/time.Second)),
		"databases":                  "1",
		"maxmemory":                  "0",
		"maxmemory-policy":           "noeviction",
		"appendonly":                 "yes",
		"appendfsync":                "always",
		"save":                       "",
		"cluster-enabled":            "yes",
		"port":                       "0",
	}
	s.mu.Lock()
	if port := s.mu.ports[SharedPort]; port != 0 {
		p["port"] = number(port)
	}
	s.mu.Unlock()
	s.settings.add(p)
	maps.Copy(p, limitParameters(&s.opt.Limits))
	maps.Copy(p, s.opt.Config)
	return p
}

func (c *conn) configGet(args [][]byte) {
	params := c.srv.parameters()
	names := slices.Sorted(maps.Keys(params))
	names = slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(args[2:], func(pattern []byte) bool {
			return glob.Match(bytes.ToLower(pattern), []byte(name))
		})
	})
	r := c.begin()
	r.Map(len(names))
	for _, name := range names {
		r.BulkString(name)
		r.BulkString(params[name])
	}
	c.end(r)
}
