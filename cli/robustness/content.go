package robustness

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
)

// Entry is a key's content, in a form that is the same for the same content, wherever it was read.
type Entry struct {
	Type     string // as TYPE says
	Value    string // a string's value, or a collection's elements, quoted, a space between them
	ExpireAt int64  // ms since 1970, 0 for none
}

// Collected writes a collection's elements down. Those of a list keep their order.
func Collected(kind string, elements []string) string {
	quoted := make([]string, len(elements))
	for i, e := range elements {
		quoted[i] = strconv.Quote(e)
	}
	if kind != "list" {
		slices.Sort(quoted)
	}
	return strings.Join(quoted, " ")
}

// Joined is an element with what belongs to it.
func Joined(name, value string) string { return name + "\x00" + value }

// foldedEntry is a key's content by the feed.
func foldedEntry(f *event.Fold, key string) Entry {
	m, _ := f.Get([]byte(key))
	e := Entry{Type: m.Type.String(), Value: string(m.Value), ExpireAt: m.ExpireAt}
	switch m.Type {
	case event.TypeString:
		return e
	case event.TypeBitmap:
		e.Type, e.Value = "string", foldedBitmap(f, key, m.Count)
		return e
	}
	var elements []string
	for el := range f.Elements([]byte(key)) {
		switch m.Type {
		case event.TypeHash:
			elements = append(elements, Joined(string(el.Sub), string(el.Value)))
		case event.TypeList:
			elements = append(elements, string(el.Value))
		case event.TypeZSet:
			elements = append(elements, Joined(string(el.Sub), strconv.FormatFloat(el.Score, 'g', -1, 64)))
		default:
			elements = append(elements, string(el.Sub))
		}
	}
	e.Value = Collected(e.Type, elements)
	return e
}

// foldedBitmap puts a bitmap's segments together to the string that clients see.
func foldedBitmap(f *event.Fold, key string, size uint64) string {
	value := make([]byte, size)
	for el := range f.Elements([]byte(key)) {
		copy(value[uint64(binary.BigEndian.Uint32(el.Sub))*event.SegmentBytes:], el.Value)
	}
	return string(value)
}

// reading is the reading of one key.
type reading struct {
	kind    string
	text    *redis.StringCmd
	hash    *redis.MapStringStringCmd
	list    *redis.StringSliceCmd
	members *redis.ZSliceCmd
	expiry  *redis.DurationCmd
}

// content is what was read; ok is false when the key has gone meanwhile.
func (r *reading) content() (e Entry, ok bool, err error) {
	e.Type = r.kind
	var elements []string
	switch {
	case r.text != nil:
		e.Value, err = r.text.Result()
	case r.hash != nil:
		for field, value := range r.hash.Val() {
			elements = append(elements, Joined(field, value))
		}
		err = r.hash.Err()
	case r.list != nil:
		elements, err = r.list.Result()
	case r.members != nil:
		for _, z := range r.members.Val() {
			elements = append(elements, Joined(z.Member.(string), strconv.FormatFloat(z.Score, 'g', -1, 64)))
		}
		err = r.members.Err()
	}
	if r.text == nil {
		e.Value = Collected(e.Type, elements)
		ok = len(elements) > 0
	}
	if at := r.expiry.Val(); at > 0 {
		e.ExpireAt = at.Milliseconds()
	}
	return e, ok || r.text != nil && err == nil, err
}
