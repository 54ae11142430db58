package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

// Options are what an archive's process gives it.
type Options struct {
	// Logger is told of takeovers that found damage and of housekeeping that failed; nil is for nobody.
	Logger *slog.Logger
}

// Sink archives one changefeed: see the package comment. Its methods may be called from any goroutine.
type Sink struct {
	cfg   Config
	log   *slog.Logger
	fs    fileSystem
	clock func() time.Time
	// packing lets one segment at a time be packed, whatever the number of partitions.
	packing chan struct{}

	mu struct {
		sync.Mutex
		// failed is, by partition's folder, what of a segment was surely synced before a sync of it failed. What a file says beyond that
		// may be in memory only, and no later sync would tell.
		failed map[string]part
	}
}

// New makes the sink of a definition. It touches no file. Its error is a *changefeed.Error.
func New(spec *changefeed.Spec, o Options) (*Sink, error) {
	cfg, err := ParseURI(spec.SinkURI)
	if err == nil && spec.Format != changefeed.JSON {
		err = fmt.Errorf("archive: format %s: an archive has the lines of format %s", spec.Format, changefeed.JSON)
	}
	if err != nil {
		return nil, badConfig(err)
	}
	return newSink(cfg, o, osFiles{}, time.Now), nil
}

func newSink(cfg Config, o Options, fs fileSystem, clock func() time.Time) *Sink {
	s := &Sink{cfg: cfg, log: o.Logger, fs: fs, clock: clock, packing: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.mu.failed = make(map[string]part)
	return s
}

// Close ends nothing: writers are closed one by one.
func (s *Sink) Close() error { return nil }

// Open takes a partition over: what it found whole and synced is what the stream goes on from. It begins a segment of the owner's own, whose name says
// where the stream of those before ends; that is what keeps them out.
func (s *Sink) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	above, err := s.cfg.Place(Names{Cluster: t.Cluster, Namespace: t.Spec.Namespace, Changefeed: t.Spec.ID})
	if err != nil {
		return nil, badConfig(err)
	}
	d := &folder{fs: s.fs, path: filepath.Join(above, folderOf(t.Spec.Namespace, t.Partition))}
	end, err := s.takeOver(d, t.Epoch)
	if err != nil {
		return nil, err
	}
	last, err := tailMessage(end.line)
	if err != nil {
		return nil, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkDiverged, Final: true, Err: err,
			What: "archive: the last line of " + d.path + " can't be read", Action: "look with zankv-cdc verify at what the folder holds; or give the changefeed another one"}
	}
	a, err := s.begin(d, t.Epoch, end, t.Rewind)
	if err != nil {
		return nil, err
	}
	return message.NewWriter(ctx, message.Options{Target: t, Appender: a, Tail: last, Linger: message.DefaultLinger})
}

func tailMessage(line []byte) (message.Tail, error) {
	if line == nil {
		return message.Tail{}, nil
	}
	return message.TailOfLine(line)
}

// takeOver finds the end of the stream and makes it durable.
func (s *Sink) takeOver(d *folder, epoch uint64) (tail, error) {
	if err := s.fs.MakeFolder(d.path); err != nil {
		return tail{}, storage(err, "the folder "+d.path+" can't be made")
	}
	parts, _, err := d.list()
	if err != nil {
		return tail{}, storage(err, d.path+" can't be listed")
	}
	if n := len(parts); n > 0 && parts[n-1].epoch > epoch {
		return tail{}, fenced(d.path, epoch, parts[n-1].epoch)
	}
	end, err := d.findTail(s.distrust(d, parts))
	if problem, ok := errors.AsType[*changefeed.Error](err); ok {
		return tail{}, problem
	}
	if err != nil {
		return tail{}, storage(err, "the end of "+d.path+" can't be read")
	}
	if end.dropped > 0 {
		s.log.Warn("archive: the end of a segment doesn't count: it wasn't whole", "folder", d.path, "after", end.position, "bytes", end.dropped)
	}
	return end, s.syncTail(d, &end)
}

// distrust leaves out of the newest segment what may never have reached the disk.
func (s *Sink) distrust(d *folder, parts []part) []part {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed, ok := s.mu.failed[d.path]
	if n := len(parts); ok && n > 0 && parts[n-1].key == failed.key {
		parts[n-1].bytes = failed.bytes
	} else {
		delete(s.mu.failed, d.path)
	}
	return parts
}

// syncTail has what was read of the end stay: another process may have written it, and died before it synced.
func (s *Sink) syncTail(d *folder, end *tail) error {
	if len(end.parts) == 0 {
		return nil
	}
	p := &end.parts[len(end.parts)-1]
	f, _, err := d.open(&p.segment)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	return storage(err, "the end of "+p.name()+" can't be synced")
}

// Check says what is wrong with a definition of a cluster, without touching a file: a *changefeed.Error, or nil.
func Check(spec *changefeed.Spec, cluster string) error {
	s, err := New(spec, Options{})
	if err != nil {
		return err
	}
	if _, err := s.cfg.Place(Names{Cluster: cluster, Namespace: spec.Namespace, Changefeed: spec.ID}); err != nil {
		return badConfig(err)
	}
	return nil
}
