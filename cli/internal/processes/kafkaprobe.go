package processes

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// The question is Kafka's Metadata request, version 1, about no topics; all numbers are big-endian
// (https://kafka.apache.org/protocol). Its answer lists the brokers that serve: one whose clock was stopped answers while its
// controller takes it for dead, and its partitions have no leaders then.
//
//	question: size int32 | key int16 = 3 | version int16 = 1 | correlation int32 | client int16 = -1 (none) | topics int32 = 0
//	answer:   size int32 | correlation int32 | brokers int32 | …
const (
	metadataKey     = 3
	metadataVersion = 1
	correlation     = 0x5a4b
)

// askKafka returns nil if a broker at an address says that some broker serves.
func askKafka(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write(metadataQuestion()); err != nil {
		return err
	}
	var answer [12]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if got := binary.BigEndian.Uint32(answer[4:]); got != correlation {
		return fmt.Errorf("an answer to question %x, want %x", got, correlation)
	}
	if n := int32(binary.BigEndian.Uint32(answer[8:])); n <= 0 {
		return fmt.Errorf("%d brokers serve", n)
	}
	return nil
}

func metadataQuestion() []byte {
	be := binary.BigEndian
	q := be.AppendUint16(nil, metadataKey)
	q = be.AppendUint16(q, metadataVersion)
	q = be.AppendUint32(q, correlation)
	q = be.AppendUint16(q, 0xffff)
	q = be.AppendUint32(q, 0)
	return append(be.AppendUint32(nil, uint32(len(q))), q...)
}
