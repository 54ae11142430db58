package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
)

// recentMutations is how many a check remembers where replays are allowed: about 40 MB.
const recentMutations = 1 << 18

// recent remembers what the last mutations said, by a part of a hash. A validator holds one position only: it takes the first event of a replay at its
// word, and an event of which a reconnect gave the end only. What is remembered has to be what it was.
type recent struct {
	limit   int // 0: recentMutations
	said    map[said][16]byte
	ring    []said
	next    int
	scratch event.Scratch
	buf     []byte
}

type said struct {
	of       *partition
	position event.Position
	seq      uint32
}

// check compares a line with what was remembered, and remembers it. before is the last event that was whole when it came.
func (r *recent) check(p *partition, l *event.Line, names event.Names, before event.Position) error {
	var digests []event.Digest
	switch l.Kind {
	case event.LineChange:
		digests = []event.Digest{event.DigestOf(&l.Mutation, names, &r.scratch)}
	case event.LineFiltered:
		digests = l.Digests
	}
	again := l.Stamp.Position.Compare(before) <= 0 && l.Stamp.Position.Compare(p.forgotten) > 0
	for i, d := range digests {
		key := said{p, l.Stamp.Position, l.Seq + uint32(i)}
		hash := r.hash(l, d)
		switch was, ok := r.said[key]; {
		case ok && was != hash:
			return refuse(l, "mutation %d came again with another content", key.seq)
		case !ok && again:
			return refuse(l, "mutation %d came in a replay, but hadn't come before", key.seq)
		case !ok:
			r.remember(key, hash)
		}
	}
	return nil
}

// hash covers all that the line says of one mutation.
func (r *recent) hash(l *event.Line, d event.Digest) [16]byte {
	head := event.CloseChain(l.Stamp.Chain, &l.Stamp, l.Time, nil, &r.scratch)
	r.buf = binary.LittleEndian.AppendUint32(append(append(r.buf[:0], head[:]...), d[:]...), l.Of)
	sum := sha256.Sum256(r.buf)
	return [16]byte(sum[:])
}

func (r *recent) remember(key said, hash [16]byte) {
	if r.said == nil {
		r.said = make(map[said][16]byte)
	}
	limit := r.limit
	if limit == 0 {
		limit = recentMutations
	}
	if len(r.ring) < limit {
		r.ring = append(r.ring, key)
	} else {
		old := r.ring[r.next]
		if old.position.Compare(old.of.forgotten) > 0 {
			old.of.forgotten = old.position
		}
		delete(r.said, old)
		r.ring[r.next] = key
		r.next = (r.next + 1) % limit
	}
	r.said[key] = hash
}

func refuse(l *event.Line, format string, args ...any) error {
	return &event.Violation{Promise: event.Unique, Position: l.Stamp.Position, What: fmt.Sprintf(format, args...)}
}
