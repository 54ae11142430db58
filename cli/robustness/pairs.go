package robustness

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
)

// A pair is a string and a hash's field that only transactions change, each by the same: whoever sees one without the other has seen half a
// transaction.
const (
	pairPrefix = "pair:"
	pairs      = 4
	pairField  = "n"
)

func pairKeys(n int) (text, hash string) {
	return fmt.Sprintf("%s{%d}:s", pairPrefix, n), fmt.Sprintf("%s{%d}:h", pairPrefix, n)
}

// pair changes a pair, or reads it, in a transaction. Half a transaction is an error.
func (s *session) pair() (half error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	text, hash := pairKeys(s.rng.IntN(pairs))
	text, hash = s.client.prefix+text, s.client.prefix+hash
	if s.rng.IntN(3) > 0 {
		var a, b *redis.IntCmd
		_, err := s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			a = p.Incr(ctx, text)
			b = p.HIncrBy(ctx, hash, pairField, 1)
			return nil
		})
		s.answered(err)
		if err == nil && a.Val() != b.Val() {
			return fmt.Errorf("robustness: a transaction made %s %d and %s %d", text, a.Val(), hash, b.Val())
		}
		return nil
	}
	var a, b *redis.StringCmd
	_, err := s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		a, b = p.Get(ctx, text), p.HGet(ctx, hash, pairField)
		return nil
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	s.answered(err)
	if err == nil && a.Val() != b.Val() {
		return fmt.Errorf("robustness: a transaction read %s = %q and %s = %q", text, a.Val(), hash, b.Val())
	}
	return nil
}

// checkPairs compares both sides of each pair.
func checkPairs(content map[string]Entry) error {
	for n := range pairs {
		text, hash := pairKeys(n)
		want := ""
		if value := content[text].Value; value != "" {
			want = Collected("hash", []string{Joined(pairField, value)})
		}
		if got := content[hash].Value; got != want {
			return fmt.Errorf("robustness: %s is %q, %s has %s", text, content[text].Value, hash, got)
		}
	}
	return nil
}

// halves watches that a feed shows both sides of a pair in one event and one group.
type halves struct {
	text  string // whose other side has still to come, "" for none
	value string
	group uint32
	whole int
}

func (h *halves) line(l *event.Line) error {
	m := &l.Mutation
	key := string(m.Key)
	if strings.HasPrefix(key, pairPrefix) {
		if strings.HasSuffix(key, ":s") {
			if h.text != "" {
				return fmt.Errorf("%s: %s came before the other side of %s", l.Stamp.Position, key, h.text)
			}
			h.text, h.value, h.group = key, string(m.Value), m.Group
		} else {
			if strings.TrimSuffix(key, ":h") != strings.TrimSuffix(h.text, ":s") || m.Group != h.group || len(m.Elements) != 1 || string(m.Elements[0].Value) != h.value {
				return fmt.Errorf("%s: %s in group %d doesn't belong to %s = %s in group %d", l.Stamp.Position, key, m.Group, h.text, h.value, h.group)
			}
			h.text = ""
			h.whole++
		}
	}
	if l.Seq+1 == l.Of && h.text != "" {
		return fmt.Errorf("%s: the event ends without the other side of %s", l.Stamp.Position, h.text)
	}
	return nil
}
