package robustness

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/conflict"
)

// Registers are what has a version of its own, and all that was written to each in any of the clusters, as the feeds have it: so that it can be told, from
// the outside, which writes were lost because their authors didn't know of each other.
type Registers struct {
	Namespace string
	writes    map[register]map[conflict.Version]write
	// removals are of the registers whose last change in the feed that is read, whoever made it, was a removal: its version. A removal is forgotten when
	// everybody has it, so who writes after it may say that there was nothing.
	removals map[register]conflict.Version
}

// register is a key, or one element of it.
type register struct{ key, sub string }

func (r register) String() string {
	if r.sub == "" {
		return r.key
	}
	return r.key + " " + r.sub
}

// write is one of a register, made where its version says.
type write struct {
	prev    conflict.Version
	value   string
	removed bool
}

// registerPrefix begins the keys whose registers are looked at: nobody writes them as a whole, but strings.
const registerPrefix = "r"

// ReadRegisters reads the feeds of a namespace in both clusters.
func (p *Pair) ReadRegisters(ctx context.Context, s Shared) (*Registers, error) {
	r := &Registers{Namespace: s.Name, writes: map[register]map[conflict.Version]write{}}
	for i, c := range p.Clusters {
		for n := range s.Partitions[i] {
			r.removals = map[register]conflict.Version{}
			if err := ReadFeed(ctx, c, s.Name, n, r.take); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// take notes what was written where the feed is from, and what came there.
func (r *Registers) take(l *event.Line, names event.Names) error {
	m := &l.Mutation
	if !strings.HasPrefix(string(m.Key), registerPrefix) || m.Op == event.OpExpire {
		return nil
	}
	version := func(v event.Version) conflict.Version {
		if v.IsZero() {
			return conflict.Version{}
		}
		return conflict.Version{Time: v.Time, Cluster: names.ID(v.Cluster)}
	}
	key, local := string(m.Key), m.Origin == nil
	switch m.Op {
	case event.OpSet, event.OpValue:
		r.add(register{key: key}, version(m.Version), write{prev: version(m.Prev), value: string(m.Value)}, local)
	case event.OpExpireAt, event.OpPersist:
		r.add(register{key, "(expiry)"}, version(m.Version), write{prev: version(m.Prev), value: strconv.FormatInt(m.ExpireAt, 10), removed: m.Op == event.OpPersist}, local)
	case event.OpHSet, event.OpHDel, event.OpSAdd, event.OpSRem, event.OpZAdd, event.OpZRem:
		for i := range m.Elements {
			e := &m.Elements[i]
			value := string(e.Value)
			if m.Op == event.OpZAdd {
				value = strconv.FormatFloat(e.Score, 'g', -1, 64)
			}
			r.add(register{key, string(e.Sub)}, version(m.Version), write{prev: version(e.Prev), value: value, removed: m.Op.Removes()}, local)
		}
	default:
		return fmt.Errorf("robustness: %s of %s, a key whose registers are counted", m.Op, key)
	}
	return nil
}

// add takes a change of a register, in the order of the feed: a write if it was made there.
func (r *Registers) add(reg register, v conflict.Version, w write, local bool) {
	if w.prev == (conflict.Version{}) {
		w.prev = r.removals[reg]
	}
	delete(r.removals, reg)
	if w.removed {
		r.removals[reg] = v
	}
	if !local {
		return
	}
	if r.writes[reg] == nil {
		r.writes[reg] = map[conflict.Version]write{}
	}
	r.writes[reg][v] = w
}

// ends are the writes of a register that nobody wrote over knowingly, and the latest of them.
func (r *Registers) ends(reg register) (all []conflict.Version, latest conflict.Version) {
	known := map[conflict.Version]bool{}
	for _, w := range r.writes[reg] {
		known[w.prev] = true
	}
	for v := range r.writes[reg] {
		if known[v] {
			continue
		}
		all = append(all, v)
		if v.Time > latest.Time || v.Time == latest.Time && v.Cluster > latest.Cluster {
			latest = v
		}
	}
	return all, latest
}

// removedElsewhere says that a write is a removal, and that one who didn't know of it removed the same, unknown to it: what both want isn't lost.
func (r *Registers) removedElsewhere(reg register, v conflict.Version) bool {
	if !r.writes[reg][v].removed {
		return false
	}
	for other, w := range r.writes[reg] {
		if w.removed && other.Cluster != v.Cluster && !r.knows(reg, v, other) && !r.knows(reg, other, v) {
			return true
		}
	}
	return false
}

// knows says whether the author of a write knew another one of the register, by what it came upon.
func (r *Registers) knows(reg register, v, other conflict.Version) bool {
	for v != (conflict.Version{}) && v != other {
		v = r.writes[reg][v].prev
	}
	return v == other
}

// Verdict is what Check found.
type Verdict struct{ Registers, Writes, Lost int }

// Check wants the latest write of each register in the content, and for each that was lost a row in a conflict log: lost are those that nobody wrote over
// knowingly, but the latest; and of removals those that nobody else made, too.
func (r *Registers) Check(content map[string]Entry, logs ConflictLog) (v Verdict, err error) {
	var errs []error
	for reg, writes := range r.writes {
		v.Registers++
		v.Writes += len(writes)
		ends, latest := r.ends(reg)
		if err := reg.check(content, writes[latest]); err != nil {
			errs = append(errs, fmt.Errorf("%w: the latest is %s, of %d that nobody knew", err, latest, len(ends)))
		}
		for _, end := range ends {
			if end == latest {
				continue
			}
			v.Lost++
			if !logs.Sides[reg][end] && !r.removedElsewhere(reg, end) {
				errs = append(errs, fmt.Errorf("robustness: %s: the write at %s (%+v) is lost, and no conflict log has it; %s won", reg, end, writes[end], latest))
			}
		}
	}
	return v, errors.Join(errs...)
}

// check holds a register against what was written to it last.
func (reg register) check(content map[string]Entry, last write) error {
	e, there := content[reg.key]
	got := ""
	switch {
	case reg.sub == "(expiry)":
		got, there = strconv.FormatInt(e.ExpireAt, 10), e.ExpireAt != 0
	case reg.sub == "":
		got = e.Value
	default:
		got, there = partsOf(e)[reg.sub], false
		_, there = partsOf(e)[reg.sub]
	}
	if there == last.removed || there && got != last.value {
		return fmt.Errorf("robustness: %s is %q (there: %v), want %+v", reg, got, there, last)
	}
	return nil
}
