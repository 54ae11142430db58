package rdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
)

// Decode reads a payload. limit bounds in bytes what compressed parts of it may grow to, all together. The value's slices point into the
// payload or into memory of its own. The error wraps ErrChecksum or ErrFormat.
func Decode(payload []byte, limit int) (Value, error) {
	if len(payload) < footer+1 {
		return Value{}, fmt.Errorf("rdb: payload of %d bytes: %w", len(payload), ErrChecksum)
	}
	body := payload[:len(payload)-footer]
	version := binary.LittleEndian.Uint16(payload[len(body):])
	if version > maxVersion {
		return Value{}, fmt.Errorf("rdb: version %d, this program reads up to %d: %w", version, maxVersion, ErrChecksum)
	}
	if got, want := checksum(payload[:len(payload)-8]), binary.LittleEndian.Uint64(payload[len(payload)-8:]); got != want {
		return Value{}, fmt.Errorf("rdb: checksum %016x, want %016x: %w", got, want, ErrChecksum)
	}
	r := reader{p: body[1:], limit: limit}
	v := r.value(body[0])
	if r.problem == "" && len(r.p) > 0 {
		r.fail(strconv.Itoa(len(r.p)) + " bytes after the value")
	}
	if r.problem == "" {
		r.check(&v)
	}
	if r.problem != "" {
		return Value{}, fmt.Errorf("rdb: value of type %d: %s: %w", body[0], r.problem, ErrFormat)
	}
	return v, nil
}

// reader takes a body apart. After the first problem everything reads as empty.
type reader struct {
	p       []byte
	limit   int
	problem string
}

func (r *reader) fail(problem string) {
	if r.problem == "" {
		r.problem = problem
	}
	r.p = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.fail("it is cut short")
		return nil
	}
	b := r.p[:n:n]
	r.p = r.p[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Forms of strings behind a first byte of 11xxxxxx.
const (
	stringInt8  = 0
	stringInt16 = 1
	stringInt32 = 2
	stringLZF   = 3
)

// length reads a length, or the number of a string's form.
func (r *reader) length() (n uint64, form bool) {
	first := r.byte()
	switch {
	case first>>6 == 3:
		return uint64(first & 0x3F), true
	case first>>6 == 0:
		return uint64(first), false
	case first>>6 == 1:
		return uint64(first&0x3F)<<8 | uint64(r.byte()), false
	case first == 0x80:
		if b := r.take(4); b != nil {
			return uint64(binary.BigEndian.Uint32(b)), false
		}
	case first == 0x81:
		if b := r.take(8); b != nil {
			return binary.BigEndian.Uint64(b), false
		}
	default:
		r.fail("unknown form of a length")
	}
	return 0, false
}

// count reads the number of items that follow, each of which takes least bytes.
func (r *reader) count(least uint64) uint64 {
	n, form := r.length()
	if form || n > uint64(len(r.p))/least {
		r.fail("more items announced than there is room for")
		return 0
	}
	return n
}

func (r *reader) string() []byte {
	n, form := r.length()
	if !form {
		return r.take(n)
	}
	switch n {
	case stringInt8:
		return number(int64(int8(r.byte())))
	case stringInt16:
		if b := r.take(2); b != nil {
			return number(int64(int16(binary.LittleEndian.Uint16(b))))
		}
	case stringInt32:
		if b := r.take(4); b != nil {
			return number(int64(int32(binary.LittleEndian.Uint32(b))))
		}
	case stringLZF:
		return r.compressed()
	default:
		r.fail("unknown form of a string")
	}
	return nil
}

func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// compressed reads a string compressed by LZF: its length, the original length, and the bytes.
func (r *reader) compressed() []byte {
	n, form := r.length()
	size, form2 := r.length()
	in := r.take(n)
	if form || form2 || size > uint64(r.limit) {
		r.fail("a compressed string is larger than allowed")
		return nil
	}
	r.limit -= int(size)
	out, ok := expand(in, int(size))
	if !ok {
		r.fail("a compressed string is damaged")
	}
	return out
}

// value reads a value of a type.
func (r *reader) value(t byte) Value {
	switch t {
	case typeString:
		return Value{Type: event.TypeString, String: r.string()}
	case typeList, typeSet:
		return Value{Type: collection(t), Items: r.items(r.count(1), (*reader).name)}
	case typeHash:
		return Value{Type: event.TypeHash, Items: r.items(r.count(2), (*reader).pair)}
	case typeZSet:
		return Value{Type: event.TypeZSet, Items: r.items(r.count(9), (*reader).scored)}
	case typeZSetText:
		return Value{Type: event.TypeZSet, Items: r.items(r.count(2), (*reader).scoredText)}
	case typeListQuick, typeListQuick2:
		return Value{Type: event.TypeList, Items: r.quicklist(t == typeListQuick2)}
	}
	return r.packed(t)
}

func collection(t byte) event.Type {
	if t == typeList {
		return event.TypeList
	}
	return event.TypeSet
}

// items reads n items.
func (r *reader) items(n uint64, read func(*reader) Item) []Item {
	items := make([]Item, 0, n)
	for range n {
		if items = append(items, read(r)); r.problem != "" {
			return nil
		}
	}
	return items
}

func (r *reader) name() Item { return Item{Name: r.string()} }

func (r *reader) pair() Item {
	name := r.string()
	return Item{Name: name, Value: r.string()}
}

func (r *reader) scored() Item {
	item := r.name()
	if b := r.take(8); b != nil {
		item.Score = math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return item
}

// scoredText reads a member and its score as a text with its length in one byte, or one of three bytes that stand for a number.
func (r *reader) scoredText() Item {
	item := r.name()
	switch n := r.byte(); n {
	case 253:
		item.Score = math.NaN()
	case 254:
		item.Score = math.Inf(1)
	case 255:
		item.Score = math.Inf(-1)
	default:
		item.Score = r.float(r.take(uint64(n)))
	}
	return item
}

func (r *reader) float(text []byte) float64 {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		r.fail("a score isn't a number")
	}
	return f
}

// check refuses what no key can hold.
func (r *reader) check(v *Value) {
	if v.Type == event.TypeString {
		return
	}
	if len(v.Items) == 0 {
		r.fail("the collection is empty")
	}
	if v.Type == event.TypeList {
		return
	}
	seen := make(map[string]struct{}, len(v.Items))
	for i := range v.Items {
		item := &v.Items[i]
		if _, twice := seen[string(item.Name)]; twice {
			r.fail("a field or member is there twice")
		}
		seen[string(item.Name)] = struct{}{}
		if math.IsNaN(item.Score) {
			r.fail("a score isn't a number")
		}
		if item.Score == 0 {
			item.Score = 0 // not -0
		}
	}
}
