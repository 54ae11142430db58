package replay

import (
	"context"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// parcel is a range or a chunk that is being filled, waits, or is on its way. Its bytes are those of a Range or a Chunk of replay.proto: both are
// messages of field 1, repeated.
type parcel struct {
	next *parcel
	buf  []byte
	// from is where a range begins, to where it ends, once it takes no more; time is the source's clock there.
	from, to store.Cursor
	time     int64
	// through is the last key that a chunk covers, end that it covers all that are left.
	through []byte
	end     bool
	chunk   bool
	// ready says that it may be sent, sealed that it takes no more.
	ready, sealed bool
	mutations     int
	names         event.Names
	large         *large
	paid          int64
}

const (
	// parcelBytes is what a parcel takes besides its bytes.
	parcelBytes = 256
	// maxMutations is how many a range has at most, but for one event that has more.
	maxMutations = 50_000
	// smallBuffer is what a buffer begins with; those of pooledBuffer bytes and more are used again, up to keptBuffer.
	smallBuffer  = 512
	pooledBuffer = 64 << 10
	keptBuffer   = 4 << 20
)

// large is what an event took of the budget's common half that is larger than the writer's share. The last parcel that has a part of it gives it back.
type large struct {
	taken int64
	refs  int // guarded by Writer.mu
}

// buffers are those that are used again.
var buffers sync.Pool // *[]byte

// newBuffer is an empty one of about so many bytes.
func newBuffer(size int) []byte {
	if size >= pooledBuffer {
		if b, ok := buffers.Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, max(size, smallBuffer))
}

func freeBuffer(b []byte) {
	if cap(b) >= pooledBuffer && cap(b) <= keptBuffer {
		b = b[:0]
		buffers.Put(&b)
	}
}

// grown is buf with room for n bytes more: small ones double, large ones grow by half.
func grown(buf []byte, n int) []byte {
	want := len(buf) + n
	if want <= cap(buf) {
		return buf
	}
	size := 2 * cap(buf)
	if size > pooledBuffer {
		size = cap(buf) + cap(buf)/2
	}
	b := append(newBuffer(max(size, want)), buf...)
	if cap(b)-len(b) < n { // a pooled one that is smaller
		b = append(make([]byte, 0, max(size, want)), buf...)
	}
	freeBuffer(buf)
	return b
}

// The wire form. A length is written before what it is of is known, in five bytes: protobuf's varints may be longer than they need be.
const (
	tagSlice    = 1<<3 | 2 // Range.slices and Chunk.events alike
	tagTerm     = 1 << 3   // Slice's
	tagIndex    = 2 << 3
	tagNumbers  = 3<<3 | 2
	tagEvent    = 4<<3 | 2
	lengthBytes = 5
	// sliceBytes is the most that a slice has besides its numbers and its event.
	sliceBytes = 2*(1+lengthBytes) + 2*11 + 1 + lengthBytes
)

func reserveLength(b []byte, tag byte) []byte { return append(b, tag, 0, 0, 0, 0, 0) }

// putLength fills in how many bytes follow a length that ends at at.
func putLength(b []byte, at int) {
	n := uint64(len(b) - at)
	for i := at - lengthBytes; i < at-1; i++ {
		b[i] = byte(n) | 0x80
		n >>= 7
	}
	b[at-1] = byte(n)
}

// appendSlice appends the part of an event that is a lane's.
func appendSlice(b []byte, at event.Position, numbers []uint32, part *event.Event) []byte {
	b = reserveLength(b, tagSlice)
	slice := len(b)
	b = appendUvarint(append(b, tagTerm), at.Term)
	b = appendUvarint(append(b, tagIndex), at.Index)
	if numbers != nil {
		b = reserveLength(b, tagNumbers)
		begin := len(b)
		for _, n := range numbers {
			b = appendUvarint(b, uint64(n))
		}
		putLength(b, begin)
	}
	b = appendEvent(b, tagEvent, part)
	putLength(b, slice)
	return b
}

// appendEvent appends a field that is an event in the logged form.
func appendEvent(b []byte, tag byte, part *event.Event) []byte {
	b = reserveLength(b, tag)
	begin := len(b)
	b = event.Append(b, part)
	putLength(b, begin)
	return b
}

func appendUvarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// pay notes what a parcel holds, in the share.
func (w *Writer) pay(p *parcel) {
	held := int64(0)
	if p.large == nil {
		held = parcelBytes + int64(cap(p.buf))
	}
	w.take(held - p.paid)
	p.paid = held
}

// take takes bytes of the share, or gives them back.
func (w *Writer) take(n int64) {
	if n != 0 {
		w.share.Take(n)
		w.meter.Buffered.Add(n)
	}
}

// discardLocked gives back what a parcel holds.
func (w *Writer) discardLocked(p *parcel) {
	w.take(-p.paid)
	p.paid = 0
	freeBuffer(p.buf)
	p.buf = nil
	if l := p.large; l != nil {
		p.large = nil
		w.unrefLocked(l)
	}
}

func (w *Writer) unrefLocked(l *large) {
	if l.refs--; l.refs == 0 {
		w.target.Budget.Release(l.taken)
		w.meter.Buffered.Add(-l.taken)
	}
}

// room waits until the writer may hold need bytes more. What is larger than its share takes them of the common half, and goes in parcels of its own.
func (w *Writer) room(ctx context.Context, need int64) (*large, error) {
	for {
		limit := w.share.Limit()
		if w.share.Held()+need <= limit {
			return nil, nil
		}
		w.urge()
		if need > limit {
			return w.common(ctx, need)
		}
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (w *Writer) common(ctx context.Context, need int64) (*large, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(w.ctx, stop)()
	begin := time.Now()
	taken, err := w.target.Budget.Acquire(ctx, need)
	w.meter.WaitQuota.Add(int64(time.Since(begin)))
	if err != nil {
		if e := w.Err(); e != nil {
			return nil, e
		}
		return nil, err
	}
	w.meter.Buffered.Add(taken)
	return &large{taken: taken, refs: 1}, nil
}
