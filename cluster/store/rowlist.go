package store

import "bytes"

// rowList is a sorted list of rows in memory: a skip list, from which nothing is taken. Its zero value is empty.
type rowList struct {
	head   [maxHeight]*overRow
	last   *overRow
	height int
	random uint64
	memory []byte
}

// maxHeight is enough for millions of rows when one in four reaches the next height.
const maxHeight = 12

// overRow is a row of a rowList: one that is put, or one that is removed.
type overRow struct {
	key, value []byte
	removed    bool
	prev       *overRow
	next       []*overRow
}

// find returns the first row ≥ key, and the one before it. at, if it isn't nil, gets the way there.
func (l *rowList) find(key []byte, at *[maxHeight]*overRow) (found, before *overRow) {
	for h := l.height - 1; h >= 0; h-- {
		next := l.after(before, h)
		for next != nil && bytes.Compare(next.key, key) < 0 {
			before, next = next, next.next[h]
		}
		if at != nil {
			at[h] = before
		}
		found = next
	}
	return found, before
}

// after is the row behind r at a height; behind nil stands the first.
func (l *rowList) after(r *overRow, h int) *overRow {
	if r == nil {
		return l.head[h]
	}
	return r.next[h]
}

// set puts a row, or notes that it is removed. Key and value are copied.
func (l *rowList) set(key, value []byte, removed bool) {
	var way [maxHeight]*overRow
	found, before := l.find(key, &way)
	if found != nil && bytes.Equal(found.key, key) {
		found.value, found.removed = l.copy(value), removed
		return
	}
	row := &overRow{key: l.copy(key), value: l.copy(value), removed: removed, prev: before}
	height := l.draw()
	row.next = make([]*overRow, height)
	for h := range height {
		if way[h] == nil {
			row.next[h], l.head[h] = l.head[h], row
		} else {
			row.next[h], way[h].next[h] = way[h].next[h], row
		}
	}
	if row.next[0] == nil {
		l.last = row
	} else {
		row.next[0].prev = row
	}
}

// draw is the height of a new row.
func (l *rowList) draw() int {
	l.random = l.random*6364136223846793005 + 1442695040888963407
	height := 1
	for bits := l.random >> 33; bits&3 == 0 && height < maxHeight; bits >>= 2 {
		height++
	}
	l.height = max(l.height, height)
	return height
}

// rowMemory is how much memory a list takes at a time for keys and values.
const rowMemory = 16 << 10

func (l *rowList) copy(p []byte) []byte {
	if len(p) > cap(l.memory)-len(l.memory) {
		l.memory = make([]byte, 0, max(rowMemory, len(p)))
	}
	n := len(l.memory)
	l.memory = append(l.memory, p...)
	return l.memory[n:len(l.memory):len(l.memory)]
}

// get finds a row, or returns nil.
func (l *rowList) get(key []byte) *overRow {
	if found, _ := l.find(key, nil); found != nil && bytes.Equal(found.key, key) {
		return found
	}
	return nil
}

// any says whether there is a row in [lower, upper).
func (l *rowList) any(lower, upper []byte) bool {
	found, _ := l.find(lower, nil)
	return found != nil && bytes.Compare(found.key, upper) < 0
}
