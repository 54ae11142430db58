// Package etcdserver runs one etcd member inside this process, for clusters on one machine and for tests.
//
// The member is alone: it listens for clients only and has no peer port. Its data lies in one directory and is there
// again when it is started on that directory. It is kept small: a bounded backend, few log entries in memory, history
// compacted to the last thousand revisions. Warnings and errors of etcd's own go to etcd.log in the directory.
//
// Crash safety: etcd's. Every answered write is synced.
package etcdserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	quotaBytes      = 512 << 20
	snapshotEntries = 5000
	keptRevisions   = "1000"
	tickMS          = 100
	electionMS      = 500 // alone, so waiting for a rival to speak up is wasted time at each start
)

// Options say where the member lives.
type Options struct {
	// DataDir holds everything of it. It is made if need be.
	DataDir string
	// Host is the address to listen on: 127.0.0.1.
	Host string
	// ClientPort is where clients reach it; 0 takes a free one (see Server.Endpoint).
	ClientPort int
}

// Server is a running member.
type Server struct {
	etcd *embed.Etcd
	// grpc are etcd's servers for clients, see Close.
	grpc  []*grpc.Server
	log   *zap.Logger
	lock  *os.File
	close sync.Once
}

// lockDir takes the directory for this process, until the file is closed or the process ends. etcd has a lock of its own, for
// which it waits without end and without a word.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("etcdserver: lock of the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("etcdserver: data folder %s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}

// Start runs a member and returns when it answers, or when ctx is done. A folder that another process uses is an error.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("etcdserver: %w", err)
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	log, err := logger(filepath.Join(o.DataDir, "etcd.log"))
	if err != nil {
		_ = lock.Close() // only ever locked
		return nil, fmt.Errorf("etcdserver: log: %w", err)
	}
	s := &Server{log: log, lock: lock}
	s.etcd, err = embed.StartEtcd(s.config(o))
	if err != nil {
		_ = lock.Close() // only ever locked
		return nil, fmt.Errorf("etcdserver: start on %s, port %d: %w", o.DataDir, o.ClientPort, err)
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		return s, nil
	case err = <-s.etcd.Err():
	case <-s.etcd.Server.StopNotify():
		err = errors.New("etcd stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.Close()
	return nil, fmt.Errorf("etcdserver: start on %s, port %d: %w", o.DataDir, o.ClientPort, err)
}

func (s *Server) config(o Options) *embed.Config {
	client := url.URL{Scheme: "http", Host: net.JoinHostPort(o.Host, strconv.Itoa(o.ClientPort))}
	c := embed.NewConfig()
	c.Dir = filepath.Join(o.DataDir, "member.etcd")
	c.Name = "local"
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ListenPeerUrls = nil
	c.ListenClientUrls = []url.URL{client}
	c.AdvertiseClientUrls = []url.URL{client}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(s.log)
	c.TickMs, c.ElectionMs = tickMS, electionMS
	c.QuotaBackendBytes = quotaBytes
	c.SnapshotCount, c.SnapshotCatchUpEntries = snapshotEntries, snapshotEntries
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModeRevision, keptRevisions
	c.EnableGRPCGateway = false
	c.ServiceRegister = func(g *grpc.Server) { s.grpc = append(s.grpc, g) }
	return c
}

func logger(file string) (*zap.Logger, error) {
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(zap.WarnLevel)
	c.OutputPaths, c.ErrorOutputPaths = []string{file}, []string{file}
	return c.Build()
}

// Endpoint is the address that clients use, host:port.
func (s *Server) Endpoint() string { return s.etcd.Clients[0].Addr().String() }

// Stopped is closed when the member has ended, by Close or of itself.
func (s *Server) Stopped() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close ends the member and waits for it. Clients' open watches would make etcd wait for seconds: they are cut first.
func (s *Server) Close() {
	s.close.Do(func() {
		for _, g := range s.grpc {
			g.Stop()
		}
		s.etcd.Close()
		_ = s.log.Sync() // of etcd's own messages; the data is synced by etcd
		_ = s.lock.Close()
	})
}
