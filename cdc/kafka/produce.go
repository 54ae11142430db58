package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// Produce requests are written by hand: a record batch lies behind room for the request's header in one buffer, which goes out in one write.
//
//	offset size
//	     0    4  length of what follows
//	     4    2  0, Produce
//	     6    2  version
//	     8    4  number of the request on its connection
//	    12  2+n  client id
//	       2      -1, no transaction
//	       2      -1, all replicas in sync acknowledge
//	       4      how long the broker waits for them, ms
//	       4      1 topic
//	     2+n      its name
//	       4      1 partition
//	       4      its number
//	       4      length of the record batch, which follows
const (
	leastProduce = 3 // the first that takes record batches of format 2
	mostProduce  = 8 // the last whose form is that above
)

// produceHeader is the request's for one partition; numbers that differ between requests are put in by putRequest.
func produceHeader(topic string, partition uint32) []byte {
	var h []byte
	h = be.AppendUint32(h, 0)
	h = be.AppendUint16(h, uint16(protocol.Produce))
	h = be.AppendUint16(h, 0)
	h = be.AppendUint32(h, 0)
	h = append(be.AppendUint16(h, uint16(len(clientID))), clientID...)
	h = be.AppendUint16(h, 0xffff)
	h = be.AppendUint16(h, 0xffff)
	h = be.AppendUint32(h, uint32(ackTimeout.Milliseconds()))
	h = be.AppendUint32(h, 1)
	h = append(be.AppendUint16(h, uint16(len(topic))), topic...)
	h = be.AppendUint32(h, 1)
	h = be.AppendUint32(h, partition)
	return be.AppendUint32(h, 0)
}

// putRequest completes the header before a batch; request is both.
func putRequest(request []byte, header int, version int16, correlation int32) {
	be.PutUint32(request, uint32(len(request)-4))
	be.PutUint16(request[6:], uint16(version))
	be.PutUint32(request[8:], uint32(correlation))
	be.PutUint32(request[header-4:], uint32(len(request)-header))
}

// produced is the answer of one partition.
type produced struct {
	code      int16
	message   string
	offset    int64
	throttled time.Duration
}

// produce sends a request that putRequest can complete, and waits for the answer.
func (c *conn) produce(ctx context.Context, request []byte, header int) (produced, error) {
	version, err := c.version(protocol.Produce, leastProduce, mostProduce)
	if err != nil {
		return produced{}, err
	}
	defer c.bound(ctx)()
	c.correlation++
	putRequest(request, header, version, c.correlation)
	if _, err := c.Write(request); err != nil {
		return produced{}, c.explain(ctx, err)
	}
	var buf [512]byte
	frame, err := c.frame(buf[:0], maxAnswer)
	if err != nil {
		return produced{}, c.explain(ctx, err)
	}
	c.used = true
	return parseProduced(frame, version, c.correlation)
}

func parseProduced(frame []byte, version int16, correlation int32) (p produced, err error) {
	w := wire{b: frame[4:]}
	if n := w.int32(); n != correlation {
		return p, fmt.Errorf("answer %d to request %d: %w", n, correlation, errNotKafka)
	}
	topics := w.count()
	w.string()
	partitions := w.count()
	w.int32()
	p.code = w.int16()
	p.offset = w.int64()
	w.int64() // when it was appended
	if version >= 5 {
		w.int64() // the log's start
	}
	if version >= 8 {
		for n := w.count(); n > 0 && !w.short; n-- {
			w.int32()
			if text := w.string(); text != "" {
				p.message = text
			}
		}
		if text := w.string(); text != "" {
			p.message = text
		}
	}
	p.throttled = time.Duration(w.int32()) * time.Millisecond
	if w.short || topics != 1 || partitions != 1 {
		return p, fmt.Errorf("%w (%w)", errShort, errNotKafka)
	}
	return p, nil
}

// err is the broker's refusal.
func (p *produced) err() error {
	e := code(p.code)
	if e != nil && p.message != "" {
		return fmt.Errorf("%w: %s", e, p.message)
	}
	return e
}
