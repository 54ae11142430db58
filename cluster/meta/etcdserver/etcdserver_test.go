package etcdserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, s *Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// What was written is there after a restart on the same directory and port, and an open watch doesn't hold Close up.
func TestRestartKeepsData(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{DataDir: dir})
	c := client(t, s)
	if _, err := c.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	<-c.Watch(clientv3.WithRequireLeader(t.Context()), "k", clientv3.WithCreatedNotify())
	began := time.Now()
	_, port, err := net.SplitHostPort(s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close() // once more is nothing
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("close with an open watch took %v", took)
	}
	<-s.Stopped()

	n, _ := strconv.Atoi(port)
	again := start(t, Options{DataDir: dir, ClientPort: n})
	if again.Endpoint() != "127.0.0.1:"+port {
		t.Errorf("endpoint %s, want port %s", again.Endpoint(), port)
	}
	r, err := c.Get(t.Context(), "k")
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "v" {
		t.Fatalf("after restart: %v, %v", r, err)
	}
}

// A port that is taken is an error that names it, and nothing keeps running.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Start(t.Context(), Options{DataDir: t.TempDir(), ClientPort: l.Addr().(*net.TCPAddr).Port})
	if err == nil {
		t.Fatal("started on a taken port")
	}
}

func TestDirectoryUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{DataDir: filepath.Join(file, "dir")}); err == nil {
		t.Fatal("started in a directory below a file")
	}
}
