package kafka

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// clientID is how we name ourselves to the broker: its quotas and its log know us by it.
const clientID = "zankv-cdc"

const (
	dialTimeout = 4 * time.Second
	// requestTimeout is for one request and its answer, unless its context ends sooner. It exceeds what the broker is told to wait for its
	// replicas, so that the broker's word comes first.
	requestTimeout = 12 * time.Second
	ackTimeout     = 8 * time.Second
	// maxAnswer bounds an answer other than a fetch's. It also tells somebody who doesn't speak Kafka's protocol: "HTTP" would be 1.2 GB.
	maxAnswer = 16 << 20
)

// errNotKafka says that what answers isn't a broker, or not on this port.
var errNotKafka = errors.New("the answer isn't Kafka's protocol: is that a broker's port, and does it want TLS (tls=true)?")

// dialer makes connections. It is immutable.
type dialer struct {
	network func(ctx context.Context, network, addr string) (net.Conn, error)
	tls     *tls.Config // nil: none
	sasl    SASL
}

// conn is one connection to a broker, for one request at a time. It is for one goroutine.
type conn struct {
	net.Conn
	in          *bufio.Reader
	addr        string
	versions    map[protocol.ApiKey]versionRange
	correlation int32
	used        bool      // it has answered a request since it was introduced
	idle        time.Time // since when, while it is in the pool
}

type versionRange struct{ min, max int16 }

// dial connects, agrees on versions and says who we are.
func (d *dialer) dial(ctx context.Context, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := d.network(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		c := d.tls
		if c.ServerName == "" {
			c = c.Clone()
			c.ServerName, _, _ = net.SplitHostPort(addr)
		}
		nc = tls.Client(nc, c)
	}
	c := &conn{Conn: nc, in: bufio.NewReader(nc), addr: addr}
	if err := c.introduce(ctx, d.sasl); err != nil {
		nc.Close()
		return nil, fmt.Errorf("broker %s: %w", addr, err)
	}
	c.used = false
	return c, nil
}

// introduce is what precedes the first request.
func (c *conn) introduce(ctx context.Context, who SASL) error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return &authError{fmt.Errorf("TLS: %w", err)}
		}
	}
	answer, err := c.roundTrip(ctx, &apiversions.Request{})
	if err != nil {
		return err
	}
	r := answer.(*apiversions.Response)
	if r.ErrorCode != 0 {
		return fmt.Errorf("asked for its versions: %w", code(r.ErrorCode))
	}
	c.versions = make(map[protocol.ApiKey]versionRange, len(r.ApiKeys))
	for _, k := range r.ApiKeys {
		c.versions[protocol.ApiKey(k.ApiKey)] = versionRange{k.MinVersion, k.MaxVersion}
	}
	return c.authenticate(ctx, who)
}

// version is the highest of a request that both sides know, at most that of ours.
func (c *conn) version(key protocol.ApiKey, least, most int16) (int16, error) {
	if c.versions == nil { // the request that asks for them
		return 0, nil
	}
	v, ok := c.versions[key]
	if !ok || v.max < least || v.min > most {
		return 0, fmt.Errorf("the broker has versions %d to %d of %v, this client %d to %d: want a broker of Kafka 1.0 or later", v.min, v.max, key, least, most)
	}
	return min(v.max, most), nil
}

// roundTrip sends a request and waits for its answer. After an error the connection is of no use.
func (c *conn) roundTrip(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	key := req.ApiKey()
	version, err := c.version(key, key.MinVersion(), key.MaxVersion())
	if err != nil {
		return nil, err
	}
	defer c.bound(ctx)()
	c.correlation++
	if err := protocol.WriteRequest(c, version, c.correlation, clientID, req); err != nil {
		return nil, c.explain(ctx, err)
	}
	frame, err := c.frame(nil, maxAnswer)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	id, answer, err := readAnswer(frame, key, version)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errNotKafka, err)
	}
	if id != c.correlation {
		return nil, fmt.Errorf("answer %d to request %d: %w", id, c.correlation, errNotKafka)
	}
	c.used = true
	return answer, nil
}

// readAnswer decodes an answer. kafka-go believes the lengths in it, and panics at some.
func readAnswer(frame []byte, key protocol.ApiKey, version int16) (id int32, answer protocol.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an answer that can't be decoded: %v", p)
		}
	}()
	return protocol.ReadResponse(bytes.NewReader(frame), key, version)
}

// frame reads one answer with its length before it into buf, which grows as needed up to a bound.
func (c *conn) frame(buf []byte, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > uint32(most) {
		return nil, fmt.Errorf("an answer of %d bytes: %w", n, errNotKafka)
	}
	if cap(buf) < int(n)+4 {
		buf = make([]byte, n+4)
	}
	buf = buf[:n+4]
	copy(buf, head[:])
	_, err := io.ReadFull(c.in, buf[4:])
	return buf, err
}

// bound has the connection give up when ctx ends, or when a request takes too long; the function that it returns ends that.
func (c *conn) bound(ctx context.Context) func() {
	deadline := time.Now().Add(requestTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// explain prefers the reason for which we gave up to its effect on the connection.
func (c *conn) explain(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return fmt.Errorf("%w (%w)", e, err)
	}
	return err
}

// code makes an error of Kafka's number; nil if it is none.
func code(n int16) error {
	if n == 0 {
		return nil
	}
	return kafkago.Error(n)
}
