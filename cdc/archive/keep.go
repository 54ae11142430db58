package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// strayAge is how old a file must be that nothing names before it is removed or, if it is another owner's, packed: whoever is about to take the
// partition over and saw it has done so by then.
const strayAge = time.Hour

// keeper keeps a partition's folder in order in the background: it packs sealed segments, and removes what needn't be kept.
type keeper struct {
	sink   *Sink
	folder *folder
	first  key           // what this life of the owner began with
	again  chan struct{} // one that waits is enough
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *Sink) keep(d *folder, first key) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{sink: s, folder: d, first: first, again: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	k.wake()
	go k.run(ctx)
	return k
}

// wake has it look again. It never waits.
func (k *keeper) wake() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

func (k *keeper) close() {
	k.cancel()
	<-k.done
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.again:
		}
		// What fails here is tried again after the next segment: nothing is lost by it but disk space.
		if err := k.pass(ctx); err != nil && ctx.Err() == nil {
			k.sink.log.Warn("archive: old segments couldn't be packed or removed", "folder", k.folder.path, "err", err)
		}
	}
}

// pass looks through the folder once.
func (k *keeper) pass(ctx context.Context) error {
	entries, err := k.folder.fs.List(k.folder.path)
	if err != nil {
		return err
	}
	parts, rest := lineage(segmentsOf(entries))
	if n := len(parts); n == 0 || parts[n-1].epoch > k.first.epoch {
		return nil // another owner's business
	}
	err = k.retain(&parts)
	for i := range parts[:max(len(parts)-1, 0)] {
		if err == nil {
			err = k.pack(ctx, &parts[i])
		}
	}
	return errors.Join(err, k.sweep(entries, parts, rest))
}

// retain removes the oldest segments for as long as there is too much of them, or they are too old.
func (k *keeper) retain(parts *[]part) error {
	total := int64(0)
	for i := range *parts {
		total += (*parts)[i].size
	}
	cfg, now := &k.sink.cfg, k.sink.clock()
	for len(*parts) > 1 {
		oldest := &(*parts)[0]
		large := cfg.KeepBytes > 0 && total > cfg.KeepBytes
		if old := cfg.KeepAge > 0 && now.Sub(oldest.modified) > cfg.KeepAge; !large && !old {
			return nil
		}
		if err := k.remove(oldest.name()); err != nil {
			return err
		}
		total -= oldest.size
		*parts = (*parts)[1:]
	}
	return nil
}

func (k *keeper) remove(name string) error {
	return k.folder.fs.Remove(filepath.Join(k.folder.path, name))
}

// mayPack says whether nobody can still rely on more of a segment than what counts now.
func (k *keeper) mayPack(s *segment) bool {
	own := s.epoch == k.first.epoch && s.number >= k.first.number
	return !s.packed && (own || k.sink.clock().Sub(s.modified) > strayAge)
}

// pack puts a packed segment in the place of a plain one. It gets its name when it is whole and synced.
func (k *keeper) pack(ctx context.Context, p *part) error {
	if k.sink.cfg.Compression != Zstd || !k.mayPack(&p.segment) {
		return nil
	}
	select {
	case k.sink.packing <- struct{}{}:
		defer func() { <-k.sink.packing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	packed := p.segment
	packed.packed = true
	to := filepath.Join(k.folder.path, packed.name())
	scrap := fmt.Sprintf("%s.%d%s", to, k.first.epoch, scrapSuffix)
	if err := k.packInto(ctx, p, scrap); err != nil {
		return errors.Join(err, k.folder.fs.Remove(scrap))
	}
	err := k.folder.fs.Rename(scrap, to)
	if err == nil {
		err = k.folder.fs.SyncFolder(k.folder.path)
	}
	if err == nil {
		err = k.remove(p.name())
	}
	return err
}

func (k *keeper) packInto(ctx context.Context, p *part, scrap string) (err error) {
	c, err := k.folder.read(p, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := k.folder.fs.Remove(scrap); err != nil && !notExist(err) {
		return err
	}
	f, err := k.folder.fs.Create(scrap)
	if err != nil {
		return err
	}
	n, err := compress(ctx, f, c)
	if err == nil && n != p.bytes {
		err = corrupt("%s has %d bytes, of which %d should count", p.name(), n, p.bytes)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return k.folder.fs.Date(scrap, p.modified)
}

// compress packs with a window of 1 MiB and one goroutine, so that it takes little memory beside the feed.
func compress(ctx context.Context, to io.Writer, from io.Reader) (int64, error) {
	z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(true))
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(z, cancelled{ctx, from})
	return n, errors.Join(err, z.Close())
}

// cancelled is a reader that fails once ctx ended.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(b)
}

// sweep removes what belongs to no stream: scraps, the plain form of what is packed, and what owners wrote on who had been overtaken, or who failed before
// anything of it was whole. Segments that a hole in the archive cut off from the stream aren't that: somebody may bring back what is missing. Only where old
// ones aren't kept do they go.
func (k *keeper) sweep(entries []entry, parts []part, rest []segment) error {
	strays := make(map[string]bool)
	for i := range parts {
		if twin := parts[i].segment; twin.packed {
			twin.packed = false
			strays[twin.name()] = true
		}
	}
	forgets := k.sink.cfg.KeepBytes > 0 || k.sink.cfg.KeepAge > 0
	for i, branches := range branchesOf(parts, rest) {
		if s := &rest[i]; branches || forgets && len(parts) > 0 && s.after.Compare(parts[0].after) < 0 {
			strays[s.name()] = true
		}
	}
	if err := k.folder.fs.SyncFolder(k.folder.path); err != nil {
		return err // a packed segment's name may not stay
	}
	var failed error
	for _, e := range entries {
		if (strays[e.name] || strings.HasSuffix(e.name, scrapSuffix)) && k.sink.clock().Sub(e.modified) > strayAge {
			failed = errors.Join(failed, k.remove(e.name))
		}
	}
	return failed
}

// branchesOf says of each of the rest whether it goes off from the stream: whether the one that it continues, or one before that, is in it.
func branchesOf(parts []part, rest []segment) []bool {
	in := make(map[key]bool, len(parts))
	for i := range parts {
		in[parts[i].key] = true
	}
	branches := make([]bool, len(rest))
	for i := range rest { // sorted, so that what one continues came before it
		if branches[i] = in[rest[i].prev]; branches[i] {
			in[rest[i].key] = true
		}
	}
	return branches
}
