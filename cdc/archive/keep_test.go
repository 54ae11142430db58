package archive

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/archive/streamtest"
)

// keptBy is a keeper without its goroutine, for an owner of an epoch.
func keptBy(cfg Config, disk *crashFS, epoch uint64) *keeper {
	return &keeper{sink: newSink(cfg, Options{}, disk, disk.clock), folder: &folder{fs: disk, path: testFolder}, first: key{epoch, 1}}
}

// oneLife has a stream archived by one owner, and nothing packed.
func oneLife(t *testing.T, units []streamtest.Unit) *crashFS {
	t.Helper()
	cfg := testConfig()
	cfg.Compression = None
	disk := newCrashFS()
	l, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 1, units)
	for err == nil && l.next < len(units) {
		disk.pass(time.Minute)
		_, err = l.write(units, 3, rand.New(rand.NewPCG(1, 1)))
	}
	if err = errors.Join(err, l.a.Close()); err != nil {
		t.Fatal(err)
	}
	return disk
}

func filesOf(disk *crashFS) []string { return slices.Sorted(maps.Keys(disk.names)) }

// TestPackedSegmentsSayTheSame packs all segments but the newest.
func TestPackedSegmentsSayTheSame(t *testing.T) {
	units := streamtest.New(21).Fill(80, true).Units
	disk := oneLife(t, units)
	plain := filesOf(disk)
	if err := keptBy(testConfig(), disk, 1).pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	packed := filesOf(disk)
	if len(packed) != len(plain) || len(plain) < 5 {
		t.Fatalf("%d files of %d\n%s", len(packed), len(plain), disk.dump())
	}
	for i, name := range packed {
		if newest := i == len(packed)-1; strings.HasSuffix(name, packedSuffix) == newest {
			t.Fatalf("%s is the newest: %v\n%s", name, newest, disk.dump())
		}
	}
	if n := wholeUnits(t, units, archived(t, disk)); n != len(units) {
		t.Fatalf("%d units of %d", n, len(units))
	}
}

// TestForeignSegmentsArePackedLate leaves what another owner may still be named for.
func TestForeignSegmentsArePackedLate(t *testing.T) {
	units := streamtest.New(21).Fill(80, true).Units
	disk := oneLife(t, units)
	plain := filesOf(disk)
	for _, k := range []*keeper{keptBy(testConfig(), disk, 2), {sink: newSink(testConfig(), Options{}, disk, disk.clock),
		folder: &folder{fs: disk, path: testFolder}, first: key{1, 999}}} {
		if err := k.pass(context.Background()); err != nil || !slices.Equal(filesOf(disk), plain) {
			t.Fatalf("%v\n%s", err, disk.dump())
		}
	}
	disk.pass(2 * strayAge)
	if err := keptBy(testConfig(), disk, 2).pass(context.Background()); err != nil || slices.Equal(filesOf(disk), plain) {
		t.Fatalf("%v\n%s", err, disk.dump())
	}
	if n := wholeUnits(t, units, archived(t, disk)); n != len(units) {
		t.Fatalf("%d units of %d", n, len(units))
	}
}

// TestRetention removes the oldest segments by bytes and by age, never the newest.
func TestRetention(t *testing.T) {
	units := streamtest.New(22).Fill(120, false).Units
	all := len(filesOf(oneLife(t, units)))
	for name, c := range map[string]struct {
		bytes int64
		age   time.Duration
		later time.Duration
		left  func(n int) bool
	}{
		"nothing":      {0, 0, 0, func(n int) bool { return n == all }},
		"bytes":        {20 << 10, 0, 0, func(n int) bool { return n > 2 && n < all }},
		"fewer bytes":  {1, 0, 0, func(n int) bool { return n == 1 }},
		"age":          {0, 20 * time.Minute, 0, func(n int) bool { return n > 1 && n < all }},
		"all too old":  {0, time.Minute, time.Hour, func(n int) bool { return n == 1 }},
		"large enough": {1 << 30, 24 * time.Hour, 0, func(n int) bool { return n == all }},
	} {
		disk := oneLife(t, units)
		disk.pass(c.later)
		cfg := testConfig()
		cfg.Compression, cfg.KeepBytes, cfg.KeepAge = None, c.bytes, c.age
		if err := keptBy(cfg, disk, 1).pass(context.Background()); err != nil {
			t.Fatal(err)
		}
		left := filesOf(disk)
		total := int64(0)
		for _, n := range disk.names {
			total += int64(len(n.data))
		}
		if !c.left(len(left)) || c.bytes > 0 && len(left) > 1 && total > c.bytes {
			t.Errorf("%s: %d segments of %d are left, with %d bytes", name, len(left), all, total)
		}
		r, err := open(disk, testFolder)
		if err != nil {
			t.Fatal(err)
		}
		if whole := len(left) == all; whole {
			wholeUnits(t, units, linesOf(t, r))
		} else if got := string(linesOf(t, r)); !strings.HasSuffix(string(joined(units)), got) {
			t.Errorf("%s: what is left isn't the stream's end", name)
		}
	}
}

func joined(units []streamtest.Unit) (all []byte) {
	for _, line := range streamtest.LinesOf(units) {
		all = append(all, line...)
	}
	return all
}

// TestStraysAreRemovedLate leaves what nobody names for an hour.
func TestStraysAreRemovedLate(t *testing.T) {
	units := streamtest.New(23).Fill(60, false).Units
	disk := oneLife(t, units)
	cfg := testConfig()
	cfg.Compression = None
	// The next owner goes on, and the first one writes on, over two segments, without knowing.
	late := &life{next: len(units) - 20}
	next, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 3, units)
	if err == nil {
		err = next.a.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(disk, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	stream := filesOf(disk)
	from := tail{parts: r.parts[:len(r.parts)-1], position: r.Newest()}
	if late.a, err = newSink(cfg, Options{}, disk, disk.clock).begin(&folder{fs: disk, path: testFolder}, 2, from, false); err != nil {
		t.Fatal(err)
	}
	for late.a.seg.number < 2 && err == nil {
		_, err = late.write(units, 4, rand.New(rand.NewPCG(1, 1)))
	}
	if err = errors.Join(err, late.a.Close()); err != nil || late.a.seg.number < 2 {
		t.Fatal(err)
	}
	twin := r.parts[0].segment
	twin.packed = true
	notes := testFolder + "/somebody's notes"
	for _, name := range []string{testFolder + "/x.jsonl.zst.1" + scrapSuffix, testFolder + "/" + twin.name(), notes} {
		disk.names[name] = &crashNode{modified: disk.now, lost: map[int]bool{}}
	}
	before := filesOf(disk)
	k := keptBy(cfg, disk, 3)
	if err := k.pass(context.Background()); err != nil || !slices.Equal(filesOf(disk), before) {
		t.Fatalf("%v\n%s", err, disk.dump())
	}
	disk.pass(2 * strayAge)
	if err := k.pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	stream[slices.Index(stream, testFolder+"/"+r.parts[0].name())] += ".zst"
	if got, want := filesOf(disk), append(stream, notes); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// TestHoleKeepsWhatIsBeforeIt has a segment missing: what lies before stays, however old, unless old ones aren't kept.
func TestHoleKeepsWhatIsBeforeIt(t *testing.T) {
	units := streamtest.New(23).Fill(60, false).Units
	disk := oneLife(t, units)
	whole := filesOf(disk)
	delete(disk.names, whole[len(whole)-3])
	disk.pass(100 * strayAge)
	before := filesOf(disk)
	cfg := testConfig()
	cfg.Compression = None
	if err := keptBy(cfg, disk, 1).pass(context.Background()); err != nil || !slices.Equal(filesOf(disk), before) {
		t.Fatalf("%v\n%s", err, disk.dump())
	}
	cfg.KeepBytes = 1 << 30
	if err := keptBy(cfg, disk, 1).pass(context.Background()); err != nil || !slices.Equal(filesOf(disk), before[len(before)-2:]) {
		t.Fatalf("%v\n%s", err, disk.dump())
	}
}
