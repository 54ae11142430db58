package wal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	segmentSuffix = ".wal"
	sparePrefix   = "spare-"
	lockName      = "LOCK"
)

// segment is one file of the log. Its id and its name as a file of the log never change; a recycled file is a new
// segment.
type segment struct {
	id   uint64
	name string
	f    File
	size int64
	seed uint32
	// written is where the next frame goes: what lies before is complete.
	written atomic.Int64
	// refs counts readers. A file that left the log is used again, or closed, only without any.
	refs atomic.Int32

	// pins (segments.mu) counts the groups whose oldest live record is here.
	pins int
}

func segmentName(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

func parseSegmentName(name string) (id uint64, ok bool) {
	hex, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil
}

// segments are the files of the log in order; the last is the one being written.
type segments struct {
	mu   sync.Mutex
	live []*segment
}

func (s *segments) push(seg *segment) {
	s.mu.Lock()
	s.live = append(s.live, seg)
	s.mu.Unlock()
}

// move takes a group's pin from one segment to another; either may be nil.
func (s *segments) move(from, to *segment) {
	s.mu.Lock()
	if from != nil {
		from.pins--
	}
	if to != nil {
		to.pins++
	}
	s.mu.Unlock()
}

// shed takes the oldest segments that no group needs out of the log, in order, and never the last. In order matters:
// the record that removes or truncates a group must outlive what it forgets.
func (s *segments) shed() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.live)-1 && s.live[n].pins == 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	out := append([]*segment(nil), s.live[:n]...)
	s.live = append([]*segment(nil), s.live[n:]...)
	return out
}

// snapshot returns the live segments, oldest first. The slice is the caller's.
func (s *segments) snapshot() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*segment(nil), s.live...)
}
