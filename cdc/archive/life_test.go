package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

const testFolder = "/archive/default-3"

// life is an owner that archives a stream, as message.Writer does it: it finds where the archive ends and goes on with the unit behind that.
type life struct {
	a    *appender
	next int // unit
}

// begin opens the archive for an owner.
func beginLife(s *Sink, epoch uint64, units []streamtest.Unit) (*life, error) {
	d := &folder{fs: s.fs, path: testFolder}
	end, err := s.takeOver(d, epoch)
	if err != nil {
		return nil, err
	}
	l := &life{}
	for i := range units {
		if m := units[i].Messages; bytes.Equal(m[len(m)-1].Value, end.line) {
			l.next = i + 1
		}
	}
	if end.line != nil && l.next == 0 {
		return nil, errors.New("the archive ends with a line that isn't the end of anything in the stream: " + string(end.line))
	}
	l.a, err = s.begin(d, epoch, end, false)
	return l, err
}

// write appends n units, in batches that end anywhere. It gives how many units it knows to be durable.
func (l *life) write(units []streamtest.Unit, n int, rng *rand.Rand) (durable int, err error) {
	var b message.Batch
	durable = l.next
	for _, u := range units[l.next:min(l.next+n, len(units))] {
		for i := range u.Messages {
			b.Messages = append(b.Messages, u.Messages[i])
			whole := i == len(u.Messages)-1
			if whole {
				b.Last = u.Reached
			}
			if rng.IntN(4) > 0 && !(whole && l.next == len(units)-1) {
				if whole {
					l.next++
				}
				continue
			}
			if err := l.a.Append(context.Background(), &b); err != nil {
				return durable, err
			}
			b.Messages = b.Messages[:0]
			if whole {
				l.next++
				durable = l.next
			}
		}
	}
	if len(b.Messages) > 0 {
		if err := l.a.Append(context.Background(), &b); err != nil {
			return durable, err
		}
		durable = l.next
	}
	return durable, nil
}

// archived reads the whole archive.
func archived(t *testing.T, fs fileSystem) []byte {
	t.Helper()
	r, err := open(fs, testFolder)
	if err != nil {
		t.Fatal(err)
	}
	return linesOf(t, r)
}

func linesOf(t *testing.T, r *Reader) []byte {
	t.Helper()
	var out []byte
	lines := r.Lines()
	defer lines.Close()
	for {
		line, _, err := lines.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
}

// wholeUnits says how many units some lines are, which have to be whole and the first ones.
func wholeUnits(t *testing.T, units []streamtest.Unit, got []byte) int {
	t.Helper()
	for i := 0; ; i++ {
		if len(got) == 0 {
			return i
		}
		if i == len(units) {
			t.Fatalf("%d bytes more than the stream has: %.200s", len(got), got)
		}
		want := bytes.Join(streamtest.LinesOf(units[i:i+1]), nil)
		if !bytes.HasPrefix(got, want) {
			t.Fatalf("unit %d of %d isn't there, or not whole. The archive has\n%.400s\nwant\n%.400s", i, len(units), got, want)
		}
		got = got[len(want):]
	}
}

func testConfig() Config {
	return Config{Folder: "/archive", Compression: Zstd, SegmentBytes: 4 << 10, SegmentAge: DefaultSegmentAge}
}

// TestEveryFailureOnce has every operation of the file system fail once, goes on with the next life of the same owner, then lets the machine or the
// process die, and has another owner finish.
func TestEveryFailureOnce(t *testing.T) {
	units := streamtest.New(1).Fill(60, true).Units
	for _, keep := range []bool{false, true} {
		failAt := 1
		for ; ; failAt++ {
			if !failOnce(t, units, failAt, keep) {
				break
			}
		}
		t.Logf("%d operations failed, one at a time", failAt-1)
		if failAt < 60 {
			t.Fatalf("only %d operations were there to fail", failAt)
		}
	}
}

func failOnce(t *testing.T, units []streamtest.Unit, failAt int, keep bool) (failed bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(failAt), 1))
	disk := newCrashFS()
	disk.failAt = failAt
	sink := newSink(testConfig(), Options{}, disk, disk.clock)
	durable := 0
	for range 3 {
		l, err := beginLife(sink, 7, units)
		if err == nil {
			var n int
			n, err = l.write(units, 40, rng)
			durable = max(durable, n)
			err = errors.Join(err, l.a.Close())
		}
		if err != nil && !errors.Is(err, errInjected) {
			t.Fatalf("operation %d failed (%s): %v", failAt, disk.failed, err)
		}
		if problem, ok := errors.AsType[*changefeed.Error](err); err != nil && (!ok || problem.Code != changefeed.CodeSinkStorage || problem.Final) {
			t.Fatalf("operation %d failed (%s) with %#v", failAt, disk.failed, err)
		}
	}
	failed = disk.failed != ""
	what := disk.failed
	disk = disk.crash(rng, keep)
	if n := wholeUnits(t, units, archived(t, disk)); n < durable {
		t.Fatalf("operation %d failed (%s): %d units are left of %d that were durable\n%s", failAt, what, n, durable, disk.dump())
	}
	last, err := beginLife(newSink(testConfig(), Options{}, disk, disk.clock), 9, units)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.write(units, len(units), rng); err != nil {
		t.Fatal(err)
	}
	if err := last.a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := wholeUnits(t, units, archived(t, disk)); n != len(units) {
		t.Fatalf("operation %d failed (%s): %d units of %d at the end\n%s", failAt, what, n, len(units), disk.dump())
	}
	return failed
}

// TestOwnersAtOnce has owners write on after others took over, and the stream must be exactly that of the last ones.
func TestOwnersAtOnce(t *testing.T) {
	units := streamtest.New(2).Fill(200, true).Units
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		disk := newCrashFS()
		lives := map[uint64]*life{}
		newest, durable := uint64(0), 0
		for range 40 {
			disk.pass(1e9)
			if epoch := 1 + rng.Uint64N(newest+1); epoch != newest+1 && lives[epoch] != nil && rng.IntN(5) > 0 {
				n, err := lives[epoch].write(units, 1+rng.IntN(20), rng)
				if err != nil {
					t.Fatal(err)
				}
				if epoch == newest {
					durable = n
				}
				continue
			}
			l, err := beginLife(newSink(testConfig(), Options{}, disk, disk.clock), newest+1, units)
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, disk.dump())
			}
			newest++
			if l.next < durable {
				t.Fatalf("seed %d: owner %d goes on at unit %d of %d durable ones\n%s", seed, newest, l.next, durable, disk.dump())
			}
			durable = l.next
			lives[newest] = l
		}
		if n := wholeUnits(t, units, archived(t, disk)); n != durable {
			t.Fatalf("seed %d: %d units, want %d\n%s", seed, n, durable, disk.dump())
		}
		for _, l := range lives {
			if err := l.a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		disk = disk.crash(rng, false)
		if n := wholeUnits(t, units, archived(t, disk)); n != durable {
			t.Fatalf("seed %d: %d units after a power failure, want %d\n%s", seed, n, durable, disk.dump())
		}
	}
}

// TestEarlierOwnerIsRefused has an owner open an archive that a later one has.
func TestEarlierOwnerIsRefused(t *testing.T) {
	disk := newCrashFS()
	sink := newSink(testConfig(), Options{}, disk, disk.clock)
	l, err := beginLife(sink, 9, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.a.Close()
	_, err = beginLife(sink, 8, nil)
	if problem, ok := errors.AsType[*changefeed.Error](err); !ok || problem.Code != changefeed.CodeFenced {
		t.Fatalf("got %v, want %s", err, changefeed.CodeFenced)
	}
}

// TestSnapshotEndsItsSegment has a snapshot over several segments, and wants the next event in another one: then the newest segment proves itself.
func TestSnapshotEndsItsSegment(t *testing.T) {
	s := streamtest.New(4)
	s.Event()
	s.Snapshot(40)
	s.Event()
	cfg := testConfig()
	disk := newCrashFS()
	l, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 1, s.Units)
	if err != nil {
		t.Fatal(err)
	}
	defer l.a.Close()
	for _, u := range s.Units {
		for i := range u.Messages {
			b := message.Batch{Messages: u.Messages[i : i+1]}
			if i == len(u.Messages)-1 {
				b.Last = u.Reached
			}
			if err := l.a.Append(context.Background(), &b); err != nil {
				t.Fatal(err)
			}
		}
	}
	parts, _, err := (&folder{fs: disk, path: testFolder}).list()
	if n := len(parts); err != nil || n < 4 || !parts[n-2].within || parts[n-1].within || parts[n-1].after != s.Units[1].Reached.Position {
		t.Fatalf("%v\n%s", err, disk.dump())
	}
}

// TestEveryCut cuts the newest segment at every byte, as a process that dies leaves it.
func TestEveryCut(t *testing.T) {
	units := streamtest.New(3).Fill(9, true).Units
	rng := rand.New(rand.NewPCG(3, 3))
	cfg := testConfig()
	cfg.SegmentBytes = 1 << 20
	whole := newCrashFS()
	l, err := beginLife(newSink(cfg, Options{}, whole, whole.clock), 1, units)
	if err == nil {
		_, err = l.write(units, len(units), rng)
	}
	if err = errors.Join(err, l.a.Close()); err != nil {
		t.Fatal(err)
	}
	total := len(whole.names[testFolder+"/"+l.a.seg.name()].data)
	for cut := 0; cut <= total; cut += 1 + cut%3 { // nearly every byte
		disk := whole.crash(rng, true)
		n := disk.names[testFolder+"/"+l.a.seg.name()]
		n.data = n.data[:cut]
		if cut%2 == 0 {
			n.data = append(n.data, make([]byte, rng.IntN(300))...) // the size was written, the content wasn't
		}
		have := wholeUnits(t, units, archived(t, disk))
		next, err := beginLife(newSink(cfg, Options{}, disk, disk.clock), 2, units)
		if err != nil {
			t.Fatal(err)
		}
		if next.next != have {
			t.Fatalf("cut at %d: a reader has %d units, an owner goes on at %d", cut, have, next.next)
		}
		_, err = next.write(units, len(units), rng)
		if err = errors.Join(err, next.a.Close()); err != nil {
			t.Fatal(err)
		}
		if n := wholeUnits(t, units, archived(t, disk)); n != len(units) {
			t.Fatalf("cut at %d: %d units of %d at the end", cut, n, len(units))
		}
	}
}
