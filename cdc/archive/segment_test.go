package archive

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

func TestNames(t *testing.T) {
	for want, s := range map[string]segment{
		"00000000000000001041-2.000000000007-000003.6-12-1048576.jsonl.zst": {key: key{7, 3}, after: event.Position{Term: 2, Index: 1041}, prev: key{6, 12},
			prevBytes: 1 << 20, packed: true},
		"00000000000000000000-0.000000000001-000001.0-0-0.jsonl":                                                            {key: key{1, 1}},
		"00000000000000000009-3s.000000000001-000002.1-1-77.jsonl":                                                          {key: key{1, 2}, after: event.Position{Term: 3, Index: 9}, within: true, prev: key{1, 1}, prevBytes: 77},
		"00000000000000000009-3r.000000000002-000001.1-1-77.jsonl":                                                          {key: key{2, 1}, after: event.Position{Term: 3, Index: 9}, rewound: true, prev: key{1, 1}, prevBytes: 77},
		"18446744073709551615-18446744073709551615.18446744073709551615-18446744073709551615.1-1-9223372036854775807.jsonl": {key: key{1<<64 - 1, 1<<64 - 1}, after: event.Position{Term: 1<<64 - 1, Index: 1<<64 - 1}, prev: key{1, 1}, prevBytes: 1<<63 - 1},
	} {
		if got := s.name(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, ok := parseName(want); !ok || got != s {
			t.Errorf("%s: %+v, %v", want, got, ok)
		}
	}
	for _, bad := range []string{
		"", "x", "00000000000000001041-2.000000000007-000003.6-12-1048576.jsonl.zst.7.tmp", "1041-2.000000000007-000003.6-12-10.jsonl",
		"00000000000000001041-02.000000000007-000003.6-12-10.jsonl", "00000000000000001041-2.0000000000007-000003.6-12-10.jsonl",
		"00000000000000001041-2.000000000007-000000.6-12-10.jsonl", "00000000000000001041-2.000000000007-000003.7-3-10.jsonl",
		"00000000000000001041-2.000000000007-000003.8-1-10.jsonl", "00000000000000001041-2.000000000007-000003.6-12-99999999999999999999.jsonl",
		"99999999999999999999-2.000000000007-000003.6-12-10.jsonl", "00000000000000001041-2x.000000000007-000003.6-12-10.jsonl",
	} {
		if s, ok := parseName(bad); ok {
			t.Errorf("%q is taken for %+v", bad, s)
		}
	}
	for _, name := range []string{"default-0", "my_ns-4294967295"} {
		if p, ok := parseFolder(name); !ok || folderOf(p.Namespace, p.Number) != name {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, bad := range []string{"", "default", "-1", "default-", "default-01", "default-4294967296", "default-x"} {
		if p, ok := parseFolder(bad); ok {
			t.Errorf("%s is taken for %+v", bad, p)
		}
	}
}

// TestLineage finds the stream among segments of owners who wrote at once.
func TestLineage(t *testing.T) {
	seg := func(epoch, number, prevEpoch, prevNumber uint64, bytes int64) segment {
		return segment{key: key{epoch, number}, prev: key{prevEpoch, prevNumber}, prevBytes: bytes}
	}
	packed := seg(5, 1, 4, 9, 1)
	packed.packed = true
	all := []segment{
		packed, seg(5, 1, 4, 9, 1), seg(5, 2, 5, 1, 100), seg(5, 3, 5, 2, 100), seg(5, 4, 5, 3, 100), // 5 wrote on
		seg(6, 1, 5, 2, 70), seg(7, 1, 5, 2, 60), seg(7, 2, 7, 1, 33),
	}
	parts, rest := lineage(all)
	var got []key
	var bytes []int64
	for _, p := range parts {
		got, bytes = append(got, p.key), append(bytes, p.bytes)
	}
	if !slices.Equal(got, []key{{5, 1}, {5, 2}, {7, 1}, {7, 2}}) || !slices.Equal(bytes, []int64{100, 60, 33, -1}) || !parts[0].packed {
		t.Errorf("got %v with %v bytes", got, bytes)
	}
	got = nil
	for _, s := range rest {
		got = append(got, s.key)
	}
	if !slices.Equal(got, []key{{5, 3}, {5, 4}, {6, 1}}) {
		t.Errorf("the rest is %v", got)
	}
}

func TestParseURI(t *testing.T) {
	got, err := ParseURI("file:///var/archive/{cluster}/{namespace}?compression=zstd&segment-bytes=8MiB&segment-age=90m&keep-bytes=2GiB&keep-age=720h")
	want := Config{Folder: "/var/archive/{cluster}/{namespace}", Compression: Zstd, SegmentBytes: 8 << 20, SegmentAge: 90 * time.Minute, KeepBytes: 2 << 30,
		KeepAge: 720 * time.Hour}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	folder, err := got.Place(Names{Cluster: "dc-a", Namespace: "default"})
	if err != nil || folder != "/var/archive/dc-a/default" {
		t.Errorf("%s, %v", folder, err)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a\x00"} {
		if folder, err := got.Place(Names{Cluster: bad, Namespace: "default"}); err == nil {
			t.Errorf("cluster %q gives %s", bad, folder)
		}
	}
	got, err = ParseURI("file:///var/a%23%20b/")
	if want := (Config{Folder: "/var/a# b", Compression: None, SegmentBytes: DefaultSegmentBytes, SegmentAge: DefaultSegmentAge}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for uri, words := range map[string]string{
		"kafka:///x": "file:///folder", "file://host/x": "three slashes", "file://x": "three slashes", "file:///": "not the root", "file:x": "three slashes",
		"file:///x#y": "%23", "file:///{host}/x": "{cluster}", "file:///x?compress=zstd": "no such option", "file:///x?compression=gzip": "none or zstd",
		"file:///x?segment-bytes=1": "4KiB", "file:///x?segment-bytes=64MB": "64MiB", "file:///x?segment-bytes=9999999999TiB": "64MiB", "file:///x?segment-bytes=-1": "64MiB",
		"file:///x?segment-age=1ms": "at least", "file:///x?segment-age=1": "duration", "file:///x?keep-bytes=1MiB": "segment's", "file:///x?keep-age=1h": "segment's",
		"file:///x?keep-age=-1h": "segment's", "file:///x?compression=zstd&compression=zstd": "2 times", "file:///x?%zz": "invalid", "file:///%zz": "invalid",
	} {
		if got, err := ParseURI(uri); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %+v, %v, want an error that says %q", uri, got, err, words)
		}
	}
}
