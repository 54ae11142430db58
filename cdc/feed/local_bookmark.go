package feed

// Bookmark says up to where everything was given: after a Next that gave nothing. It is nil as long as reading hasn't begun, or no leader was known since. It belongs to the reader
// like an item of Next. Its time is when there was nothing behind it: reading up to there may have taken long, and a replica without a leader doesn't hear
// of more.
func (l *Local) Bookmark() *Item {
	if l.c == nil || l.asOf.IsZero() {
		return nil
	}
	l.item = Item{Stamp: &l.c.stamp, Names: l.c.names, Bookmark: l.c.at, ServerTime: l.asOf}
	return &l.item
}

// Buffered says whether there are entries at hand, which may be events or not.
func (l *Local) Buffered() bool { return l.c != nil && l.c.at.Index < l.applied }
