package remote

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// Limits of a server.
const (
	// maxSessions is how many processes may be there at once.
	maxSessions = 128
	// maxRequests is how many requests of a session may be in work. A process that has more ends the session.
	maxRequests = 64
	maxName     = 255
	// maxNodes is how many of the cluster's nodes a welcome names.
	maxNodes = 64
	// maxRequest bounds a request: a definition or a progress, with room around it.
	maxRequest = meta.MaxChangefeedValue + 4<<10
)

// Patience is how long a process may send nothing before it has lost its claims.
const Patience = 5 * time.Second

// Times of a server.
const (
	// releaseWithin bounds how long claims of a session that is over are given back: what can't be reached then ends by its lease.
	releaseWithin = 5 * time.Second
	// farewellWithin is how long a server that ends waits for processes to know it.
	farewellWithin = time.Second
	// showEvery is how often a session is told of changes.
	showEvery = 50 * time.Millisecond
)

// ServerOptions are a Server's. Registry and Cluster are required.
type ServerOptions struct {
	Registry changefeed.Registry
	// Cluster is the id of the cluster whose registry it is.
	Cluster string
	// Nodes names the gRPC addresses of the cluster's nodes, for processes to go to when this one is gone; nil names none.
	Nodes func() []string
	// Patience is for tests; 0 is Patience.
	Patience time.Duration
	Logger   *slog.Logger
}

// Server lets processes have part in a registry. Any goroutine may call its methods.
type Server struct {
	remotepb.UnimplementedRegistryServer
	o     ServerOptions
	ended context.Context // when the server is closed
	end   context.CancelFunc
	mu    struct {
		sync.Mutex
		sessions int
		closed   bool
	}
	group sync.WaitGroup
}

// NewServer makes one. Close it.
func NewServer(o ServerOptions) *Server {
	o.Patience = cmp.Or(o.Patience, Patience)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o}
	s.ended, s.end = context.WithCancel(context.Background())
	return s
}

// Register adds the service to g.
func (s *Server) Register(g grpc.ServiceRegistrar) { remotepb.RegisterRegistryServer(g, s) }

// Close ends all sessions, and returns when their claims were given back, or can't be within some seconds. New ones are refused.
func (s *Server) Close() {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	s.end()
	s.group.Wait()
}

func (s *Server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.closed:
		return status.Error(codes.Unavailable, "changefeed registry: this node is about to end")
	case s.mu.sessions >= maxSessions:
		return status.Errorf(codes.ResourceExhausted, "changefeed registry: %d processes have a session with this node: try another one", maxSessions)
	}
	s.mu.sessions++
	s.group.Add(1)
	return nil
}

func (s *Server) leave() {
	s.mu.Lock()
	s.mu.sessions--
	s.mu.Unlock()
	s.group.Done()
}

// Session implements the service.
func (s *Server) Session(stream remotepb.Registry_SessionServer) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	v := newServed(s, stream)
	hello, err := v.hello()
	if err != nil {
		return err
	}
	v.process = hello.GetProcess()
	s.o.Logger.Info("a process has a session for changefeeds", "process", v.process)
	err = v.run()
	claims := v.release()
	s.o.Logger.Info("a process's session for changefeeds is over", "process", v.process, "claims", claims, "because", err)
	if errors.Is(err, errSilent) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Convert(err).Err()
}

var (
	errSilent = errors.New("changefeed registry: no heartbeat came in time")
	errEnds   = errors.New("changefeed registry: this node is about to end")
)

func validHello(h *remotepb.Hello) error {
	switch {
	case h == nil:
		return status.Error(codes.InvalidArgument, "changefeed registry: a session begins with a hello")
	case h.GetVersion() != Version:
		return status.Errorf(codes.FailedPrecondition, "changefeed registry: the process speaks version %d, this node %d: upgrade the older of the two", h.GetVersion(), Version)
	case h.GetProcess() == "" || len(h.GetProcess()) > maxName || !utf8.ValidString(h.GetProcess()):
		return status.Errorf(codes.InvalidArgument, "changefeed registry: a process's name of %d bytes: want 1 to %d of UTF-8", len(h.GetProcess()), maxName)
	}
	return nil
}
