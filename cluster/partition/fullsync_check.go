package partition

import (
	"bytes"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// checkChunk says what is wrong with a chunk, whatever stands here, and gives the highest version in it.
func checkChunk(c *Chunk) (highest int64, err error) {
	if err := checkNames(c.Names); err != nil {
		return 0, err
	}
	if !c.End && bytes.Compare(c.Through, c.After) < 0 {
		return 0, fmt.Errorf("%w: a chunk from key %q through %q", ErrMalformed, clipKey(c.After), clipKey(c.Through))
	}
	var beyond []byte // the key that isn't whole
	for i := range c.Rows {
		m := &c.Rows[i]
		switch {
		case i > 0 && bytes.Compare(m.Key, c.Rows[i-1].Key) < 0, len(c.After) > 0 && bytes.Compare(m.Key, c.After) <= 0:
			return 0, fmt.Errorf("%w: row %d, of key %q, isn't in the order of keys after %q", ErrMalformed, i, clipKey(m.Key), clipKey(c.After))
		case beyond != nil && !bytes.Equal(m.Key, beyond):
			return 0, fmt.Errorf("%w: row %d, of key %q, comes after one of %q, both above %q", ErrMalformed, i, clipKey(m.Key), clipKey(beyond), clipKey(c.Through))
		}
		if i > 0 && follows(&c.Rows[i-1], m) && bytes.Compare(firstSub(m), lastSub(&c.Rows[i-1])) <= 0 {
			return 0, fmt.Errorf("%w: row %d, of key %q, begins with element % x after % x", ErrMalformed, i, clipKey(m.Key), clipKey(firstSub(m)), clipKey(lastSub(&c.Rows[i-1])))
		}
		if !c.End && bytes.Compare(m.Key, c.Through) > 0 {
			beyond = m.Key
		}
		if err := checkRow(m, len(c.Names)); err != nil {
			return 0, fmt.Errorf("%w: row %d, of key %q: %w", ErrMalformed, i, clipKey(m.Key), err)
		}
		highest = max(highest, newest(m))
		for j := range m.Elements {
			highest = max(highest, m.Elements[j].Prev.Time)
		}
	}
	return highest, nil
}

// follows says whether a row goes on with the elements of the one before it.
func follows(before, m *event.Mutation) bool {
	return len(m.Elements) > 0 && len(before.Elements) > 0 && m.Op == before.Op && bytes.Equal(m.Key, before.Key)
}

func firstSub(m *event.Mutation) []byte { return m.Elements[0].Sub }
func lastSub(m *event.Mutation) []byte  { return m.Elements[len(m.Elements)-1].Sub }

// checkRow says what the projection, which can refuse nothing, relies on.
func checkRow(m *event.Mutation, names int) error {
	if m.Op != event.OpSet && m.Op != event.OpDel && (!m.Op.OnElements() || m.Type != m.Op.ElementType()) {
		return fmt.Errorf("%s of type %s is no row", m.Op, m.Type)
	}
	if m.Type == event.TypeList && m.Op != event.OpRPush || uint64(len(m.Elements)) > m.Count && !m.Op.Removes() && m.Type != event.TypeBitmap {
		return fmt.Errorf("%s of %d elements, counted %d", m.Op, len(m.Elements), m.Count)
	}
	if m.Op.OnElements() && !m.Op.Removes() && (m.KeyVersion.IsZero() || m.Count == 0 || len(m.Elements) == 0) || m.Op == event.OpSet && m.Version.IsZero() {
		return fmt.Errorf("%s of %d elements, %d in all, without a version or content", m.Op, len(m.Elements), m.Count)
	}
	for _, v := range [...]*event.Version{&m.Version, &m.Prev, &m.KeyVersion, &m.Floor} {
		if err := checkVersion(*v, names); err != nil {
			return err
		}
	}
	if x := m.ExpiryVersion; x.Cluster != 0 || x.Time < 0 { // without a cluster it is a bound: there was none up to then
		if err := checkVersion(x, names); err != nil {
			return err
		}
	}
	for j := range m.Elements {
		e := &m.Elements[j]
		switch err := checkVersion(e.Prev, names); {
		case err != nil:
			return err
		case j > 0 && bytes.Compare(m.Elements[j-1].Sub, e.Sub) >= 0:
			return fmt.Errorf("element % x comes after % x", clipKey(e.Sub), clipKey(m.Elements[j-1].Sub))
		case math.IsNaN(e.Score):
			return fmt.Errorf("member %q has NaN for a score", clipKey(e.Sub))
		case m.Type == event.TypeBitmap && len(e.Sub) != segmentNumber:
			return fmt.Errorf("segment number % x: want %d bytes", clipKey(e.Sub), segmentNumber)
		case e.Prev.IsZero() && m.Type != event.TypeList && (m.Type != event.TypeBitmap || len(e.Value) > 0):
			return fmt.Errorf("element %q without a version", clipKey(e.Sub))
		}
	}
	return nil
}

func checkVersion(v event.Version, names int) error {
	if v.Time < 0 || v.Cluster == 0 && v.Time != 0 || int64(v.Cluster) >= int64(names) && v.Cluster != 0 {
		return fmt.Errorf("version %d of cluster number %d, which has no id", v.Time, v.Cluster)
	}
	return nil
}
