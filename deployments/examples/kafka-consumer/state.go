package main

import (
	"cmp"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zankv/zankv/cdc/event"
)

// entry is a key, as it is printed.
type entry struct {
	Key      any    `json:"key"`
	Type     string `json:"type"`
	Value    any    `json:"value,omitempty"`    // of a string
	Elements []any  `json:"elements,omitempty"` // [field, value], [member, score], member, item
	ExpireAt int64  `json:"expire_at,omitempty"`
	order    []byte
}

// binary is what isn't text.
type binary struct {
	Base64 []byte `json:"base64"`
}

func text(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	return binary{b}
}

// score is a number, but for those that JSON hasn't: "inf" and "-inf", as Redis has them.
func score(v float64) any {
	if math.IsInf(v, 0) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	}
	return v
}

// printState prints every key on a line of its own, in byte order.
func (c *consumer) printState(out io.Writer) error {
	var all []entry
	for _, p := range c.partitions {
		for _, key := range p.state.Keys() {
			all = append(all, p.entry([]byte(key)))
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(string(a.order), string(b.order)) })
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for i := range all {
		if err := e.Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) entry(key []byte) entry {
	meta, _ := p.state.Get(key)
	e := entry{Key: text(key), Type: meta.Type.String(), ExpireAt: meta.ExpireAt, order: key}
	if meta.Type == event.TypeString {
		e.Value = text(meta.Value)
	}
	for f := range p.state.Elements(key) {
		switch meta.Type {
		case event.TypeList:
			e.Elements = append(e.Elements, text(f.Value))
		case event.TypeSet:
			e.Elements = append(e.Elements, text(f.Sub))
		case event.TypeZSet:
			e.Elements = append(e.Elements, []any{text(f.Sub), score(f.Score)})
		default:
			e.Elements = append(e.Elements, []any{text(f.Sub), text(f.Value)})
		}
	}
	return e
}
