package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

const (
	// idleFor is how long a connection is kept that nobody uses; a broker closes one after ten minutes.
	idleFor = time.Minute
	// maxIdle bounds the connections to one broker that wait for use.
	maxIdle = 64
	// coordinatorOfTransactions is FindCoordinator's kind of key.
	coordinatorOfTransactions = 1
)

// cluster is Kafka's, as we reach it: a pool of connections, each for one request at a time. It runs no goroutine: who asks
// waits. Its methods may be called from any goroutine.
type cluster struct {
	dialer    *dialer
	bootstrap []string

	mu struct {
		sync.Mutex
		idle   map[string][]*conn
		known  []string // addresses of brokers, as the cluster named them last
		closed bool
	}
}

func newCluster(c *Config) (*cluster, error) {
	t, err := c.TLS.tlsConfig()
	if err != nil {
		return nil, err
	}
	cl := &cluster{dialer: &dialer{network: new(net.Dialer).DialContext, tls: t, sasl: c.SASL}, bootstrap: c.Brokers}
	cl.mu.idle = map[string][]*conn{}
	return cl, nil
}

// Close closes what is idle; what is in use is closed after it.
func (cl *cluster) Close() error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.mu.closed = true
	for _, conns := range cl.mu.idle {
		for _, c := range conns {
			c.Close()
		}
	}
	clear(cl.mu.idle)
	return nil
}

// with runs one request on a connection to addr: a pooled one, or a new one. A pooled one may have been closed by the broker meanwhile:
// then the request is made again, once, on a new one; every request that we make may be repeated.
func (cl *cluster) with(ctx context.Context, addr string, do func(*conn) error) error {
	c, err := cl.take(ctx, addr)
	if err != nil {
		return err
	}
	err = do(c)
	if err != nil && c.used && wasClosed(err) && ctx.Err() == nil {
		c.Close()
		cl.drop(addr)
		if c, err = cl.dialer.dial(ctx, addr); err != nil {
			return err
		}
		err = do(c)
	}
	if err != nil {
		c.Close()
		if !c.used && wasClosed(err) && cl.dialer.sasl.Mechanism == "" {
			err = fmt.Errorf("%w (%w)", errLogin, err)
		}
		return fmt.Errorf("broker %s: %w", addr, err)
	}
	cl.give(c)
	return nil
}

// wasClosed says whether a connection had ended before our request reached anybody.
func wasClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (cl *cluster) take(ctx context.Context, addr string) (*conn, error) {
	if c := cl.pooled(addr); c != nil {
		return c, nil
	}
	return cl.dialer.dial(ctx, addr)
}

func (cl *cluster) pooled(addr string) *conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	conns := cl.mu.idle[addr]
	if len(conns) == 0 {
		return nil
	}
	c := conns[len(conns)-1]
	cl.mu.idle[addr] = conns[:len(conns)-1]
	return c
}

// give puts a connection back, and closes the oldest of those that weren't needed for long.
func (cl *cluster) give(c *conn) {
	c.SetDeadline(time.Time{})
	c.idle = time.Now()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	conns := cl.mu.idle[c.addr]
	for len(conns) > 0 && (c.idle.Sub(conns[0].idle) > idleFor || len(conns) >= maxIdle) {
		conns[0].Close()
		conns = append(conns[:0], conns[1:]...)
	}
	if cl.mu.closed {
		c.Close()
		return
	}
	cl.mu.idle[c.addr] = append(conns, c)
}

// drop closes the idle connections to a broker that has closed one of them: it was restarted.
func (cl *cluster) drop(addr string) {
	cl.mu.Lock()
	conns := cl.mu.idle[addr]
	delete(cl.mu.idle, addr)
	cl.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// ask sends a request to one broker.
func (cl *cluster) ask(ctx context.Context, addr string, req protocol.Message) (answer protocol.Message, err error) {
	err = cl.with(ctx, addr, func(c *conn) (err error) {
		answer, err = c.roundTrip(ctx, req)
		return err
	})
	return answer, err
}

// askAny sends a request to whichever broker answers.
func (cl *cluster) askAny(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	var failures []error
	for _, addr := range cl.addresses() {
		answer, err := cl.ask(ctx, addr, req)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// addresses are those that the cluster named last, in any order, and then the URI's.
func (cl *cluster) addresses() []string {
	cl.mu.Lock()
	known := append([]string(nil), cl.mu.known...)
	cl.mu.Unlock()
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	for _, b := range cl.bootstrap {
		if !contains(known, b) {
			known = append(known, b)
		}
	}
	return known
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// metadata asks for a topic. What the answer says of it may be an error code of its own.
func (cl *cluster) metadata(ctx context.Context, topic string) (*metadata.Response, error) {
	answer, err := cl.askAny(ctx, &metadata.Request{TopicNames: []string{topic}})
	if err != nil {
		return nil, err
	}
	r := answer.(*metadata.Response)
	known := make([]string, 0, len(r.Brokers))
	for _, b := range r.Brokers {
		known = append(known, hostPort(b.Host, b.Port))
	}
	cl.mu.Lock()
	cl.mu.known = known
	cl.mu.Unlock()
	if len(r.Topics) != 1 {
		return nil, fmt.Errorf("asked for topic %s, the broker told of %d", topic, len(r.Topics))
	}
	return r, nil
}

// leader says where a partition's leader is.
func (cl *cluster) leader(ctx context.Context, topic string, partition uint32) (string, error) {
	m, err := cl.metadata(ctx, topic)
	if err != nil {
		return "", err
	}
	if err := code(m.Topics[0].ErrorCode); err != nil {
		return "", fmt.Errorf("topic %s: %w", topic, err)
	}
	for _, p := range m.Topics[0].Partitions {
		if uint32(p.PartitionIndex) != partition {
			continue
		}
		for _, b := range m.Brokers {
			if b.NodeID == p.LeaderID {
				return hostPort(b.Host, b.Port), nil
			}
		}
		return "", fmt.Errorf("topic %s, partition %d: %w", topic, partition, errNoLeader)
	}
	return "", fmt.Errorf("topic %s, partition %d: %w", topic, partition, errNoPartition)
}

// coordinator says which broker gives out a producer's epochs.
func (cl *cluster) coordinator(ctx context.Context, transactionalID string) (string, error) {
	answer, err := cl.askAny(ctx, &findcoordinator.Request{Key: transactionalID, KeyType: coordinatorOfTransactions})
	if err != nil {
		return "", err
	}
	r := answer.(*findcoordinator.Response)
	if err := code(r.ErrorCode); err != nil {
		return "", fmt.Errorf("coordinator of %s: %w", transactionalID, err)
	}
	return hostPort(r.Host, r.Port), nil
}

func hostPort(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
