package transport

import (
	"encoding/binary"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// The payload of a frame of messages is as many messages as its header counts, one behind the other:
//
//	uvarint  group
//	uvarint  n, the length of what follows
//	n bytes  raftpb.Message in protobuf
const (
	// frameTarget is the payload size at which a frame is closed, such that it fits one small buffer at both ends. A larger
	// message has a frame to itself.
	frameTarget = min(chunkSize, readBuffer) - headerSize
	// maxFrameMessages bounds what a small frame can expand to in memory.
	maxFrameMessages = 4096
)

// Message is a raft message of one group.
type Message struct {
	Group uint64
	raftpb.Message
}

// encodedSize is the number of bytes that a message takes in a payload, body those of its protobuf.
func encodedSize(group uint64, body int) int {
	return uvarintSize(group) + uvarintSize(uint64(body)) + body
}

func uvarintSize(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// putMessage encodes m, whose protobuf takes body bytes, at the start of b and returns the number of bytes written.
func putMessage(b []byte, m *Message, body int) (int, error) {
	n := binary.PutUvarint(b, m.Group)
	n += binary.PutUvarint(b[n:], uint64(body))
	got, err := m.Message.MarshalToSizedBuffer(b[n : n+body])
	if err != nil {
		return 0, err
	}
	return n + got, nil
}

// decodeMessages appends the count messages in payload to dst. They hold copies: payload may be reused.
func decodeMessages(dst []Message, payload []byte, count uint16) ([]Message, error) {
	if count == 0 || count > maxFrameMessages {
		return dst, corruptf("frame with %d messages, want 1 to %d", count, maxFrameMessages)
	}
	for i := range count {
		group, body, rest, ok := cutMessage(payload)
		if !ok {
			return dst, corruptf("message %d of %d: %d bytes left are too few", i, count, len(payload))
		}
		dst = append(dst, Message{Group: group})
		if err := dst[len(dst)-1].Message.Unmarshal(body); err != nil {
			return dst, corruptf("message %d of %d, group %d: %v", i, count, group, err)
		}
		payload = rest
	}
	if len(payload) != 0 {
		return dst, corruptf("%d bytes behind the last of %d messages", len(payload), count)
	}
	return dst, nil
}

func cutMessage(b []byte) (group uint64, body, rest []byte, ok bool) {
	group, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, nil, false
	}
	b = b[n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return 0, nil, nil, false
	}
	b = b[n:]
	return group, b[:size], b[size:], true
}
