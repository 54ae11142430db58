package partition

import "github.com/zankv/zankv/cdc/event"

// Bounds of what is remembered of absent keys, of one of two generations.
const (
	absentKeys  = 4096
	absentBytes = 1 << 20
)

// absences remembers of keys that were absent when somebody watched them whether they were written since: what was made and removed in
// between leaves no trace in the state. It has two generations, so that what is forgotten is what nobody has watched for long;
// who asks for a key that is forgotten gets a number that was never given out.
type absences struct {
	young, old map[string]uint64
	bytes      int // of the young keys
	numbers    uint64
}

// number is the key's, another one after each write.
func (a *absences) number(key []byte) uint64 {
	if n, ok := a.young[string(key)]; ok {
		return n
	}
	n, ok := a.old[string(key)]
	if !ok {
		a.numbers++
		n = a.numbers
	}
	if a.young == nil || len(a.young) >= absentKeys || a.bytes >= absentBytes {
		a.old, a.young, a.bytes = a.young, make(map[string]uint64), 0
	}
	a.young[string(key)] = n
	a.bytes += len(key)
	return n
}

// written notes that a key was written.
func (a *absences) written(key []byte) {
	for _, generation := range []map[string]uint64{a.young, a.old} {
		if _, watched := generation[string(key)]; watched {
			a.numbers++
			generation[string(key)] = a.numbers
		}
	}
}

// forget drops what is remembered. Numbers go on: none is given out twice.
func (a *absences) forget() { a.young, a.old, a.bytes = nil, nil, 0 }

func (a *absences) any() bool { return len(a.young)+len(a.old) > 0 }

// WatchTerm implements command.Watcher.
func (v *flightView) WatchTerm() uint64 { return v.r.term }

// WatchAbsent implements command.Watcher.
func (v *flightView) WatchAbsent(key []byte) uint64 { return v.r.absent.number(key) }

// older counts writes from elsewhere that leave a key's version as it is, by a hash of the key: the version doesn't tell that an element has changed. Keys that
// share a count make EXEC fail for nothing, which it may. It takes its memory when there is the first such write.
type older []uint64

const olderCounts = 1024

func (o *older) written(key []byte) {
	if *o == nil {
		*o = make(older, olderCounts)
	}
	(*o)[hashKey(key)%olderCounts]++
}

func (o older) number(key []byte) uint64 {
	if o == nil {
		return 0
	}
	return o[hashKey(key)%olderCounts]
}

// WatchOlder implements command.Watcher.
func (v *flightView) WatchOlder(key []byte) uint64 { return v.r.older.number(key) }

// noteChanges does what hangs on the mutations that the open batch got from the n-th on: it wakes who waits for them, and
// counts them for those who watch. If the batch comes to nothing, a watched key counts as written all the same.
func (r *Replica) noteChanges(b *batch, n int) {
	r.wake(b, n)
	if r.absent.any() {
		for i := n; i < len(b.ev.Mutations); i++ {
			if m := &b.ev.Mutations[i]; m.Op != event.OpExpire && m.Op != event.OpRange {
				r.absent.written(m.Key)
			}
		}
	}
}
