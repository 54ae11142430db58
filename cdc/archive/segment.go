package archive

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// key tells segments of a partition apart: the epoch of the owner that wrote it, and its number among those of that epoch, from 1.
type key struct{ epoch, number uint64 }

func (k key) compare(o key) int {
	if c := cmp.Compare(k.epoch, o.epoch); c != 0 {
		return c
	}
	return cmp.Compare(k.number, o.number)
}

// segment is one file, as its name tells.
type segment struct {
	key
	// after is the position that the stream has reached where the segment begins, of an event or a heartbeat.
	after event.Position
	// within says that it begins within a snapshot.
	within bool
	// rewound says that its owner was told by hand where to begin: its content may repeat what came before, or leave some out.
	rewound bool
	// prev is the segment that it continues, prevBytes how many bytes of that count. The zero prev is before the stream's beginning.
	prev      key
	prevBytes int64

	packed   bool  // with zstd
	size     int64 // of the file
	modified time.Time
}

const (
	plainSuffix  = ".jsonl"
	packedSuffix = ".jsonl.zst"
	// scrapSuffix is of files that aren't whole yet.
	scrapSuffix = ".tmp"
)

// name is the file's: see the package comment.
func (s *segment) name() string {
	mark, suffix := "", plainSuffix
	switch {
	case s.within:
		mark = "s"
	case s.rewound:
		mark = "r"
	}
	if s.packed {
		suffix = packedSuffix
	}
	return fmt.Sprintf("%020d-%d%s.%012d-%06d.%d-%d-%d%s", s.after.Index, s.after.Term, mark, s.epoch, s.number,
		s.prev.epoch, s.prev.number, s.prevBytes, suffix)
}

var namePattern = regexp.MustCompile(`^(\d{20})-(\d{1,20})([rs]?)\.(\d{12,20})-(\d{6,20})\.(\d{1,20})-(\d{1,20})-(\d{1,19})\.jsonl(\.zst)?$`)

// parseName reads what name writes, and nothing else.
func parseName(name string) (segment, bool) {
	m := namePattern.FindStringSubmatch(name)
	if m == nil {
		return segment{}, false
	}
	var n [9]uint64
	for _, i := range []int{1, 2, 4, 5, 6, 7, 8} {
		var err error
		if n[i], err = strconv.ParseUint(m[i], 10, 64); err != nil {
			return segment{}, false
		}
	}
	s := segment{
		key: key{n[4], n[5]}, after: event.Position{Index: n[1], Term: n[2]}, within: m[3] == "s", rewound: m[3] == "r", prev: key{n[6], n[7]},
		prevBytes: int64(n[8]), packed: m[9] != "",
	}
	return s, s.prevBytes >= 0 && s.number > 0 && s.prev.compare(s.key) < 0 && s.name() == name
}

// part is a segment with what of it belongs to the stream.
type part struct {
	segment
	// bytes of its content count; -1 if nothing says where it ends, as of the newest.
	bytes int64
}

// lineage finds the stream among the segments of a folder, from its oldest part to its newest. The newest segment of the highest epoch is its end;
// from there each one names the one before. The rest belongs to owners who wrote on without knowing that they were owners no longer.
func lineage(all []segment) (parts []part, rest []segment) {
	byKey := make(map[key]segment, len(all))
	var at key
	for _, s := range all {
		// Of the two forms of a segment the packed one is whole: it got its name when it was.
		if have, ok := byKey[s.key]; !ok || !have.packed {
			byKey[s.key] = s
		}
		if s.compare(at) > 0 {
			at = s.key
		}
	}
	bytes := int64(-1)
	for {
		s, ok := byKey[at]
		if !ok {
			break
		}
		delete(byKey, at)
		parts = append(parts, part{s, bytes})
		at, bytes = s.prev, s.prevBytes
	}
	slices.Reverse(parts)
	for _, s := range byKey {
		rest = append(rest, s)
	}
	slices.SortFunc(rest, func(a, b segment) int { return a.compare(b.key) })
	return parts, rest
}

// segmentsOf gives the segments among the files of a folder.
func segmentsOf(entries []entry) []segment {
	var all []segment
	for _, e := range entries {
		if s, ok := parseName(e.name); ok {
			s.size, s.modified = e.size, e.modified
			all = append(all, s)
		}
	}
	return all
}

// folderOf is the name of a partition's folder.
func folderOf(namespace string, partition uint32) string {
	return namespace + "-" + strconv.FormatUint(uint64(partition), 10)
}

// Partition names a partition that an archive has a folder of.
type Partition struct {
	Namespace string
	Number    uint32
}

// parseFolder reads what folderOf writes.
func parseFolder(name string) (Partition, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return Partition{}, false
	}
	n, err := strconv.ParseUint(name[i+1:], 10, 32)
	p := Partition{Namespace: name[:i], Number: uint32(n)}
	return p, err == nil && folderOf(p.Namespace, p.Number) == name
}
