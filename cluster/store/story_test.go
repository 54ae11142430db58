package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// TestStories runs the stories in testdata. Commands:
//
//	event [wall=ms] [replicates]   an event of the mutations given, one a line:
//	    set KEY VALUE [AT] · value KEY VALUE · del KEY · expire KEY · expireat KEY AT · range START END · own KIND ID VALUE
//	    hset KEY FIELD VALUE · zadd KEY MEMBER SCORE · … an op on one element and what its row holds; bits KEY SEGMENT VALUE COUNT ·
//	    whole OP … as OP, as a write of the whole key
//	skip · mark · trim N · commit [conf=TEXT] · clean N
//	elements KEY GENERATION        writes a collection's rows as such, one a line: hash FIELD VALUE, zset MEMBER SCORE, …
//	dump [own]                     all rows, but for the partition's own unless they are asked for, annotated
//	state · expired NOW · checksum
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		st := &story{t: t, w: newWorld()}
		st.s = openStore(t, memEngine(t), nil)
		st.a = st.s.NewApply()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := st.run(d)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			return out
		})
	})
}

type story struct {
	t testing.TB
	w *world
	s *Store
	a *Apply
}

func (st *story) run(d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "event":
		return st.event(d)
	case "skip":
		st.a.Skip(st.w.skip().pos)
		return "", nil
	case "mark":
		st.a.Mark()
		return "", nil
	case "trim":
		return "", st.a.TrimMarks(uint64(number(d.CmdArgs[0].Key)))
	case "commit":
		if d.HasArg("conf") {
			var conf string
			d.ScanArgs(st.t, "conf", &conf)
			st.a.SetConfState([]byte(conf))
		}
		return "", st.a.Commit()
	case "clean":
		more, err := st.s.Clean(int(number(d.CmdArgs[0].Key)))
		return fmt.Sprintln("more:", more), err
	case "elements":
		return "", st.elements(d)
	case "dump":
		own := []byte{famMeta}
		if d.HasArg("own") {
			own = nil
		}
		return dump(st.s.engine, own)
	case "state":
		s := st.s.State()
		return fmt.Sprintf("applied %s\nlast event %s, events %d, chain %.16s…\nclock %d, wall %d\nkeys %d, expiring %d\nconf %q, clusters %q\n",
			s.Applied, s.LastEvent, s.Events, s.Chain, s.Clock, s.Wall, s.Keys, s.Expiring, s.ConfState, s.Clusters), nil
	case "expired":
		var b strings.Builder
		err := st.s.Expired(number(d.CmdArgs[0].Key), 100, func(key []byte, at int64) bool { fmt.Fprintf(&b, "%q at %d\n", key, at); return true })
		return b.String(), err
	case "checksum":
		c, err := st.s.Checksum(st.t.Context(), nil)
		return fmt.Sprintf("at %s: %d keys, %d slots, %s\n", c.Position, c.Keys, len(c.Slots), c.Total), err
	}
	return "", fmt.Errorf("no such command")
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (st *story) event(d *datadriven.TestData) (string, error) {
	w := st.w
	if d.HasArg("wall") {
		d.ScanArgs(st.t, "wall", &w.wall)
	}
	w.replicates = d.HasArg("replicates")
	w.begin()
	for _, line := range strings.Split(d.Input, "\n") {
		f := strings.Fields(line)
		for i := range f {
			if s, err := strconv.Unquote(f[i]); err == nil {
				f[i] = s
			}
		}
		f = append(f, "", "", "")
		switch f[0] {
		case "set":
			at := int64(0)
			if f[3] != "" {
				at = number(f[3])
			}
			w.set(f[1], f[2], at)
		case "value":
			w.value(f[1], f[2])
		case "del":
			w.del(f[1])
		case "expire":
			w.expire(f[1])
		case "expireat":
			w.expireAt(f[1], number(f[2]))
		case "range":
			w.rangeDelete(f[1], f[2])
		case "own":
			w.ownChange(event.OwnKind(number(f[1])), f[2], f[3])
		default:
			if err := st.change(f); err != nil {
				return "", err
			}
		}
	}
	en := w.end()
	return "", st.a.Event(en.pos, en.ev)
}

// change makes a mutation of one element.
func (st *story) change(f []string) error {
	whole := f[0] == "whole"
	if whole {
		f = f[1:]
	}
	var op event.Op
	for op = event.OpHSet; op <= event.OpBits && op.String() != f[0]; op++ {
	}
	if !op.OnElements() {
		return fmt.Errorf("no such mutation: %s", f)
	}
	m, all := st.w.change(op, f[1], whole)
	e := event.Element{Sub: []byte(f[2]), Value: []byte(f[3])}
	switch m.Type {
	case event.TypeZSet:
		e.Value = nil
		if f[3] != "" {
			e.Score = float64(number(f[3]))
		}
	case event.TypeBitmap:
		e.Sub = binary.BigEndian.AppendUint32(nil, uint32(number(f[2])))
	case event.TypeList:
		m.Value = []byte("ends")
	}
	st.w.element(&m, all, e)
	count := len(all)
	if m.Type == event.TypeBitmap {
		count = int(number(f[4]))
	}
	st.w.finish(m, all, count)
	return nil
}

// elements writes a collection as its ops would.
func (st *story) elements(d *datadriven.TestData) error {
	key, gen := []byte(d.CmdArgs[0].Key), uint64(number(d.CmdArgs[1].Key))
	var b engine.Batch
	meta := event.Meta{Version: version(40), Generation: gen}
	for _, line := range strings.Split(d.Input, "\n") {
		f := strings.Fields(line)
		e := element{version: version(50 + int64(meta.Count)), payload: []byte(f[2])}
		sub := []byte(f[1])
		switch f[0] {
		case "hash":
			e.kind = event.TypeHash
		case "set":
			e.kind, e.payload = event.TypeSet, nil
		case "list":
			e.kind, sub = event.TypeList, appendInt64(nil, number(f[1]))
		case "bitmap":
			e.kind, sub = event.TypeBitmap, binary.BigEndian.AppendUint32(nil, uint32(number(f[1])))
		case "zset":
			score, err := strconv.ParseFloat(f[2], 64)
			if err != nil {
				return err
			}
			e.kind, e.payload = event.TypeZSet, appendScore(nil, score)
			b.Put(appendScoreKey(nil, key, gen, score, sub), nil)
		case "tombstone":
			b.Put(appendElementTombstoneKey(nil, key, sub), appendElement(nil, &e))
			continue
		case "index":
			b.Put(appendIndexKey(nil, []byte("table"), sub, appendIndexBytes(nil, e.payload), key), nil)
			continue
		}
		meta.Type = e.kind
		meta.Count++
		b.Put(appendElementKey(nil, key, gen, sub), appendElement(nil, &e))
	}
	b.Put(appendMetaKey(nil, key), appendMeta(nil, &meta))
	st.w.keys[string(key)] = meta
	return st.s.engine.Write(&b)
}

// dump shows every row: what it says, then its bytes.
func dump(r engine.Reader, from []byte) (string, error) {
	var b strings.Builder
	err := scan(r, from, nil, func(key, value []byte) (bool, error) {
		fmt.Fprintf(&b, "%s\n    %x\n    = %x\n", describe(key, value), key, value)
		return true, nil
	})
	return b.String(), err
}

func describe(key, value []byte) string {
	switch key[0] {
	case famOwn:
		return describeOwn(key, value)
	case famMeta:
		return fmt.Sprintf("meta %q: %s", key[1:], describeMeta(value))
	case famElement, famScore:
		user, rest, _ := cutEscaped(nil, key[1:])
		gen := binary.BigEndian.Uint64(rest)
		if key[0] == famScore {
			return fmt.Sprintf("score %q generation %d: %g %q", user, gen, readScore(rest[8:]), rest[16:])
		}
		return fmt.Sprintf("element %q generation %d subkey %q: %s", user, gen, rest[8:], describeElement(value))
	case famTombstone:
		user, rest, _ := cutEscaped(nil, key[1:])
		if len(rest) > 0 {
			return fmt.Sprintf("tombstone %q element %q: %s", user, rest[1:], describeElement(value))
		}
		return fmt.Sprintf("tombstone %q: %s", user, describeMeta(value))
	case famExpiry:
		user, at, _ := splitExpiryKey(key)
		return fmt.Sprintf("expiry %d: %q", at, user)
	case famIndex:
		table, rest, _ := cutEscaped(nil, key[1:])
		name, rest, _ := cutEscaped(nil, rest)
		return fmt.Sprintf("index %q %q: % x", table, name, rest)
	case famCleanup:
		if key[1] == cleanGeneration {
			user, rest, _ := cutEscaped(nil, key[2:])
			return fmt.Sprintf("clean-up %q generation %d, %s", user, binary.BigEndian.Uint64(rest), event.Type(value[1]))
		}
		f := fields{p: value[1:]}
		start := f.counted()
		return fmt.Sprintf("clean-up range [%q, %q) of %d.%d", start, f.p, binary.BigEndian.Uint64(key[2:]), binary.BigEndian.Uint32(key[10:]))
	}
	return "unknown row"
}

func describeOwn(key, value []byte) string {
	switch key[1] {
	case ownState:
		var s State
		if err := decodeState(&s, value); err != nil {
			return err.Error()
		}
		return fmt.Sprintf("own state: applied %s", s.Applied)
	case ownIdentity:
		id, _ := decodeIdentity(value)
		return fmt.Sprintf("own identity: %s", id)
	case ownCluster:
		return fmt.Sprintf("own cluster %d: %s", binary.BigEndian.Uint32(key[2:]), value)
	case ownMark:
		m, _ := decodeMark(key, value)
		return fmt.Sprintf("own mark %d: last event %s, chain %.16s…", m.Index, m.LastEvent, m.Chain)
	}
	return fmt.Sprintf("own kind %d %q: %q", key[2], key[3:], value)
}

func describeMeta(value []byte) string {
	var m event.Meta
	if err := decodeMeta(&m, value); err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s version %s floor %s", m.Type, at(m.Version), at(m.Floor))
	if m.ExpireAt != 0 {
		s += fmt.Sprint(" expires ", m.ExpireAt)
	}
	s += " expiry's " + at(m.ExpiryVersion)
	if m.Type > event.TypeString {
		s += fmt.Sprintf(" generation %d count %d", m.Generation, m.Count)
	}
	return s + fmt.Sprintf(" %q", m.Value)
}

func at(v event.Version) string { return fmt.Sprintf("%d@%d", v.Time, v.Cluster) }

func describeElement(value []byte) string {
	var e element
	if err := decodeElement(&e, value); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s version %s %q", e.kind, at(e.version), e.payload)
}
