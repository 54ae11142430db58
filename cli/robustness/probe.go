package robustness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Probes are connections to one node that were opened before it paused. What they ask while it pauses it answers in the
// first moments after: from the state it had before, if it doesn't notice that time has passed.
type Probes struct {
	workload *Workload
	conns    []net.Conn
	asked    History // one operation each, without answer
}

// OpenProbes opens so many connections to a port that is bound to the namespace.
func (w *Workload) OpenProbes(addr string, n int) (*Probes, error) {
	p := &Probes{workload: w}
	for range n {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("robustness: probe: %w", err)
		}
		p.conns = append(p.conns, c)
		if _, _, err := p.ask(c, "no such key"); err != nil { // so that the node knows the connection
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Close ends the connections.
func (p *Probes) Close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// Ask sends a GET of a key in competition on each connection and doesn't wait.
func (p *Probes) Ask() error {
	for i, c := range p.conns {
		key := p.workload.currentKey(i % keySlots)
		called := time.Since(p.workload.began).Nanoseconds()
		if err := send(c, key); err != nil {
			return err
		}
		in := Input{Op: Get, Key: key}
		p.asked = append(p.asked, porcupine.Operation{ClientId: p.workload.Clients + 1 + i, Input: in, Call: called})
	}
	return nil
}

// Collect adds the answers to the history and returns how many there were. An error that the node answers says nothing
// of the key.
func (p *Probes) Collect() (int, error) {
	var answered History
	for i, op := range p.asked {
		value, there, err := receive(p.conns[i])
		if errors.Is(err, errReply) {
			continue
		}
		if err != nil {
			return 0, err
		}
		op.Output, op.Return = Output{Value: value, Absent: !there}, time.Since(p.workload.began).Nanoseconds()
		answered = append(answered, op)
	}
	p.workload.mu.Lock()
	defer p.workload.mu.Unlock()
	p.workload.mu.history = append(p.workload.mu.history, answered...)
	return len(answered), nil
}

func (p *Probes) ask(c net.Conn, key string) (string, bool, error) {
	if err := send(c, key); err != nil {
		return "", false, err
	}
	return receive(c)
}

func send(c net.Conn, key string) error {
	if _, err := fmt.Fprintf(c, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key); err != nil {
		return fmt.Errorf("robustness: probe: %w", err)
	}
	return nil
}

// errReply: the node answered with an error.
var errReply = errors.New("robustness: probe: error reply")

// receive reads the answer to one GET. Nothing else is on its way, so that nothing is lost with the reader.
func receive(c net.Conn) (value string, there bool, err error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", false, fmt.Errorf("robustness: probe: %w", err)
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", false, fmt.Errorf("robustness: probe: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "-") {
		return "", false, fmt.Errorf("%w: %s", errReply, line)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if err != nil || n > 1<<20 {
		return "", false, fmt.Errorf("robustness: probe: GET answered %q", line)
	}
	if n < 0 {
		return "", false, nil
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", false, fmt.Errorf("robustness: probe: %w", err)
	}
	return string(b[:n]), true, nil
}
