package bench

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// redisServer is the redis-server that everything is compared with: each write is in its append-only file, synced, before
// it is answered. What would slow it down now and then, snapshots and rewrites of that file, is off.
type redisServer struct {
	o     *Options
	port  int
	p     *process
	route *redisRoute
}

func newRedisServer(o *Options) *redisServer {
	s := &redisServer{o: o}
	s.route = &redisRoute{o: o, name: "redis", rate: map[load]float64{},
		targets: plainTarget(func() int { return s.port }), alive: func() error { return s.p.alive() }}
	return s
}

func (s *redisServer) Name() string { return "redis-server, appendfsync always" }

func (s *redisServer) Check() error {
	if err := binary(s.o.RedisServer, "install Debian's redis-server"); err != nil {
		return err
	}
	return binary(s.o.RedisBenchmark, "install Debian's redis-tools")
}

func (s *redisServer) Version(ctx context.Context) (string, error) {
	out, err := runTool(ctx, s.o.RedisServer, "--version")
	if fields := strings.Fields(out); len(fields) > 2 {
		return "redis-server " + fields[2], err
	}
	return strings.TrimSpace(out), err
}

func (s *redisServer) Start(ctx context.Context) (err error) {
	if s.port, err = freePorts(1); err != nil {
		return err
	}
	dir := filepath.Join(s.o.Dir, "redis")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	s.p, err = startProcess(ctx, "redis-server", "Ready to accept connections", 30*time.Second, s.o.RedisServer,
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	return err
}

func (s *redisServer) Stop() { s.p.stop() }
