package feed

import "time"

// Bookmark says up to where everything was given: after a Next that gave nothing. It is nil as long as reading hasn't begun. It belongs to the reader
// like an item of Next.
func (l *Local) Bookmark() *Item {
	if l.c == nil {
		return nil
	}
	l.item = Item{Stamp: &l.c.stamp, Names: l.c.names, Bookmark: l.c.at, ServerTime: time.Now()}
	return &l.item
}

// Buffered says whether there are entries at hand, which may be events or not.
func (l *Local) Buffered() bool { return l.c != nil && l.c.at.Index < l.applied }
