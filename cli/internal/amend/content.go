package amend

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/rdb"
	"github.com/zankv/zankv/conflict"
)

// content is what a register has.
type content struct {
	exists bool
	kind   event.Type // of a whole key; a bitmap is a string
	value  []byte
	score  float64
	items  []rdb.Item
	// expireAt is ms since 1970, 0 for none.
	expireAt int64
}

func (c *content) expired() bool { return c.expireAt != 0 && c.expireAt <= time.Now().UnixMilli() }

// complete says whether a side has its content in full.
func complete(s *conflict.Side, rec *conflict.Record) bool {
	if !s.Exists || rec.Register == conflict.RegisterExpiry {
		return true
	}
	if len(s.Digest) > 0 {
		return false
	}
	if rec.Register != conflict.RegisterKey || s.Type == event.TypeString {
		return true
	}
	// A list's side may be what was pushed only, and a bitmap's segments aren't its bytes.
	return s.Count > 0 && uint64(len(s.Parts)) == s.Count && s.Type != event.TypeList && s.Type != event.TypeBitmap
}

func keyType(t event.Type) event.Type {
	if t == event.TypeBitmap {
		return event.TypeString
	}
	return t
}

func contentOf(s *conflict.Side) content {
	c := content{exists: s.Exists, kind: keyType(s.Type), value: s.Value, score: s.Score, expireAt: s.ExpireAt}
	for i := range s.Parts {
		p := &s.Parts[i]
		c.items = append(c.items, rdb.Item{Name: p.Sub, Value: p.Value, Score: p.Score})
	}
	return c
}

// is says whether the content is a side's, as far as the row tells what that is.
func (c *content) is(s *conflict.Side, rec *conflict.Record) bool {
	if rec.Register == conflict.RegisterExpiry {
		return c.expireAt == s.ExpireAt
	}
	if c.exists != s.Exists || !s.Exists {
		return c.exists == s.Exists
	}
	if rec.Register == conflict.RegisterKey && c.kind != keyType(s.Type) {
		return false
	}
	if len(s.Digest) > 0 && s.Count == 0 {
		return bytes.Equal(s.Digest, digest(c.value))
	}
	if rec.Register == conflict.RegisterKey && c.kind != event.TypeString {
		return s.Count == uint64(len(c.items)) && (!complete(s, rec) || c.hasItems(s))
	}
	return bytes.Equal(c.value, s.Value) && (s.Type != event.TypeZSet || c.score == s.Score)
}

// expiryFits says whether a whole string has the expiry, too, that a side wrote with it.
func (c *content) expiryFits(s *conflict.Side, rec *conflict.Record) bool {
	return rec.Register != conflict.RegisterKey || !s.Exists || rec.Op == event.OpValue || c.expireAt == s.ExpireAt
}

func (c *content) hasItems(s *conflict.Side) bool {
	have := make(map[string]*rdb.Item, len(c.items))
	for i := range c.items {
		have[string(c.items[i].Name)] = &c.items[i]
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		if item := have[string(p.Sub)]; item == nil || !bytes.Equal(item.Value, p.Value) || item.Score != p.Score {
			return false
		}
	}
	return true
}

// digest is that of a value without elements, as conflict.NewRecord makes it.
func digest(value []byte) []byte {
	sum := sha256.Sum256(append(binary.AppendUvarint(nil, uint64(len(value))), value...))
	return sum[:]
}

// payload is the content in Redis's serialised form.
func (c *content) payload() []byte {
	w := rdb.Begin(nil, c.kind, uint64(len(c.items)))
	if c.kind == event.TypeString {
		w.String(c.value)
	}
	for i := range c.items {
		w.String(c.items[i].Name)
		switch c.kind {
		case event.TypeHash:
			w.String(c.items[i].Value)
		case event.TypeZSet:
			w.Score(c.items[i].Score)
		}
	}
	return w.End()
}

// text says in a few words what it is.
func (c *content) text(rec *conflict.Record) string {
	switch {
	case rec.Register == conflict.RegisterExpiry && c.expireAt == 0:
		return "no expiry"
	case rec.Register == conflict.RegisterExpiry:
		return "expiry " + instant(c.expireAt)
	case !c.exists:
		return "nothing"
	case rec.There.Type == event.TypeZSet && rec.Register == conflict.RegisterElement:
		return "score " + score(c.score)
	case rec.There.Type == event.TypeSet && rec.Register == conflict.RegisterElement:
		return "the member"
	case rec.Register == conflict.RegisterKey && c.kind != event.TypeString:
		return fmt.Sprintf("a %s of %d", c.kind, len(c.items))
	}
	return strconv.Quote(clip(c.value))
}

func sideText(s *conflict.Side, rec *conflict.Record) string {
	c := contentOf(s)
	switch {
	case s.Exists && s.Count > 0 && rec.Register == conflict.RegisterKey:
		return fmt.Sprintf("a %s of %d", s.Type, s.Count)
	case len(s.Digest) > 0:
		return fmt.Sprintf("%d bytes of SHA-256 %x", s.Size, s.Digest)
	}
	return c.text(rec)
}

func instant(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func decimal(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

func score(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// clip shortens what messages quote.
func clip[T string | []byte](s T) string {
	const most = 80
	if len(s) > most {
		return string(s[:most]) + "…"
	}
	return string(s)
}
