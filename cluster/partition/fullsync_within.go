package partition

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/conflict"
)

// stepWithin takes the next step within the key that the cursor is in: what is here of another type, then rows and what is here between their elements,
// then what is here behind those, then its end. done: the rest of the key comes with the next chunk.
func (c *chunkCall) stepWithin() (done bool, err error) {
	c.visited++
	if !c.at.swept {
		return false, c.stepSweep()
	}
	row := c.row()
	switch {
	case row == nil && !c.covers(c.at.key) && c.at.row == len(c.chunk.Rows):
		c.ready()
		c.take.Pause()
		return true, c.carry()
	case row == nil && c.rests(), row != nil && row.Op.Removes() && c.rests():
		return false, c.stepRest()
	case row == nil:
		return false, c.leave()
	case row.Op.Removes():
		return false, c.stepGraves(row)
	case spans(row.Type):
		return false, c.stepSpan(row)
	}
	c.at.row++
	return false, c.takeRow(row, nil, nil)
}

// spans says whether a type's elements are registers of their own.
func spans(t event.Type) bool {
	return t == event.TypeHash || t == event.TypeSet || t == event.TypeZSet || t == event.TypeBitmap
}

func (c *chunkCall) takeRow(m *event.Mutation, elements []event.Element, stored []conflict.Element) error {
	c.ready()
	c.take.Row(m, elements, stored)
	return c.carry()
}

// stepSweep looks at what is here of a type that the snapshot doesn't have of this key.
func (c *chunkCall) stepSweep() error {
	if !c.take.Sweeps() {
		c.at.swept, c.at.sub, c.at.hasSub = true, nil, false
		return nil
	}
	stored, more, err := c.read(c.st.Type, nil, false)
	if err != nil {
		return err
	}
	c.ready()
	if !more && !c.at.hasSub && !c.foreign(stored) {
		c.take.Drop()
		return c.carry()
	}
	c.take.Sweep(stored)
	if c.at.swept = !more; more {
		c.at.sub, c.at.hasSub = bytes.Clone(stored[len(stored)-1].Sub), true
	} else {
		c.at.sub, c.at.hasSub = nil, false
	}
	return c.carry()
}

// foreign says whether any element is no ancestor.
func (c *chunkCall) foreign(stored []conflict.Element) bool {
	for i := range stored {
		if !c.take.Ancestor(stored[i].Version) {
			return true
		}
	}
	return false
}

// stepSpan takes elements of a row over, and what is here between them.
func (c *chunkCall) stepSpan(m *event.Mutation) error {
	elements := m.Elements[c.at.elem:]
	elements = elements[:min(len(elements), spanElements)]
	to := elements[len(elements)-1].Sub
	stored, more, err := c.read(m.Type, to, true)
	if err != nil {
		return err
	}
	if more {
		to = bytes.Clone(stored[len(stored)-1].Sub)
		n := 0
		for n < len(elements) && bytes.Compare(elements[n].Sub, to) <= 0 {
			n++
		}
		elements = elements[:n]
	}
	c.at.sub, c.at.hasSub = to, true
	if c.at.elem += len(elements); c.at.elem == len(m.Elements) {
		c.at.row, c.at.elem = c.at.row+1, 0
	}
	return c.takeRow(m, elements, stored)
}

// rests says whether there may be something here behind the elements of all rows that wasn't looked at.
func (c *chunkCall) rests() bool {
	return !c.at.rested && !c.take.Stuck() && c.st.Exists && spans(c.st.Type) && c.head().Type == c.st.Type
}

func (c *chunkCall) stepRest() error {
	stored, more, err := c.read(c.st.Type, nil, false)
	if err != nil {
		return err
	}
	if c.at.rested = !more; more {
		c.at.sub, c.at.hasSub = bytes.Clone(stored[len(stored)-1].Sub), true
	}
	return c.takeRow(&event.Mutation{Op: addOps[c.st.Type], Type: c.st.Type, Key: c.at.key}, nil, stored)
}

// addOps write elements.
var addOps = map[event.Type]event.Op{
	event.TypeHash: event.OpHSet, event.TypeSet: event.OpSAdd, event.TypeZSet: event.OpZAdd, event.TypeBitmap: event.OpBits,
}

// stepGraves takes tombstones of elements over.
func (c *chunkCall) stepGraves(m *event.Mutation) error {
	elements := m.Elements[c.at.elem:]
	elements = elements[:min(len(elements), spanElements)]
	c.parts.reuse()
	c.stored = c.stored[:0]
	v := &c.r.view
	for i := range elements {
		e := conflict.Element{Sub: elements[i].Sub}
		here, ok, err := v.Element(c.at.key, &c.st.Meta, e.Sub)
		if err != nil {
			return err
		}
		e.Version, e.Value, e.Score, e.Exists = here.Version, c.parts.copy(here.Value), here.Score, ok
		c.stored = append(c.stored, e)
	}
	c.visited += len(elements)
	if c.at.elem += len(elements); c.at.elem == len(m.Elements) {
		c.at.row, c.at.elem = c.at.row+1, 0
	}
	return c.takeRow(m, elements, c.stored)
}

// read reads what is here of the key's elements behind the cursor's, up to and with to if it is bounded: as many as are decided at once, more saying that there
// are others.
func (c *chunkCall) read(kind event.Type, to []byte, bounded bool) (stored []conflict.Element, more bool, err error) {
	c.parts.reuse()
	c.stored = c.stored[:0]
	if !c.st.Exists && c.st.Version.IsZero() && c.st.Floor.IsZero() && c.st.ExpiryVersion.IsZero() {
		return nil, false, nil
	}
	in := command.Range{}
	if c.at.hasSub {
		in.From = append(bytes.Clone(c.at.sub), 0)
	}
	if bounded {
		in.To = append(bytes.Clone(to), 0)
	}
	from := c.r.view.elements(c.at.key)
	if c.st.Exists && c.st.Type == kind {
		err = from.Elements(c.at.key, &c.st.Meta, in, func(sub []byte, e *command.Element) bool {
			if more = len(c.stored) == spanElements; more {
				return false
			}
			c.stored = append(c.stored, conflict.Element{
				Sub: c.parts.copy(sub), Value: c.parts.copy(e.Value), Score: e.Score, Version: e.Version, Exists: true,
			})
			return true
		})
	}
	if err == nil && kind != event.TypeBitmap {
		if more {
			in.To = append(bytes.Clone(c.stored[len(c.stored)-1].Sub), 0)
		}
		more, err = c.readGraves(in, more)
	}
	c.visited += len(c.stored)
	return c.stored, more, err
}

// readGraves merges tombstones into the elements that were read.
func (c *chunkCall) readGraves(in command.Range, more bool) (bool, error) {
	graves := c.graves[:0]
	err := c.r.view.elements(c.at.key).ElementTombstones(c.at.key, in, c.r.store.Watermark(), func(sub []byte, v event.Version) bool {
		graves = append(graves, conflict.Element{Sub: c.parts.copy(sub), Version: v})
		return len(graves) <= spanElements
	})
	c.graves = graves
	if err != nil || len(graves) == 0 {
		return more, err
	}
	if len(graves) > spanElements { // nothing is said of what comes after the last of them
		more = true
		graves = graves[:spanElements]
		last := graves[spanElements-1].Sub
		for len(c.stored) > 0 && bytes.Compare(c.stored[len(c.stored)-1].Sub, last) > 0 {
			c.stored = c.stored[:len(c.stored)-1]
		}
	}
	c.merge(graves)
	return more, nil
}

// merge brings tombstones among the elements that were read, in their order.
func (c *chunkCall) merge(graves []conflict.Element) {
	all := c.merged[:0]
	i := 0
	for _, e := range c.stored {
		for i < len(graves) && bytes.Compare(graves[i].Sub, e.Sub) < 0 {
			all = append(all, graves[i])
			i++
		}
		if i < len(graves) && bytes.Equal(graves[i].Sub, e.Sub) {
			i++
		}
		all = append(all, e)
	}
	all = append(all, graves[i:]...)
	c.stored, c.merged = all, c.stored
}
