package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/zankv/zankv/cdc/archive"
)

// ErrSource is wrapped where a source's name can't be understood.
var ErrSource = errors.New("verify: want file:///path/to/lines.jsonl, a path, - for standard input, file:///archive-folder, kafka://broker/topic, " +
	"zankv://host:grpc/namespace or zankv://host:grpc/namespace/partition")

// Run checks a source to its end:
//
//   - or a path, or file:///path       lines, as zankv-cdc tail prints them; packed with zstd if the name ends in .zst
//     file:///folder                     an archive: a partition's folder, the one above it, or any above that one if only one has partitions
//     kafka://broker[,broker]/topic      all messages that the topic has when the check begins
//     zankv://node[,node]/namespace      all partitions of a namespace, or /partition of it, from the oldest retained to the end of the log
//
// The error says that the source can't be read, to the end or at all. The report is then of what came before, nil if nothing did.
func Run(ctx context.Context, source string, o Options) (*Report, error) {
	run := begin(ctx, source, &o)
	err := run.source(source)
	if err != nil && run.report.Lines == 0 {
		return nil, err
	}
	return run.end(), err
}

func (r *run) source(source string) error {
	switch scheme, _, _ := strings.Cut(source, "://"); {
	case source == "-":
		if r.o.Stdin == nil {
			return errors.New("verify: there is no standard input")
		}
		return r.lines(r.o.Stdin, "standard input")
	case scheme == source:
		return r.path(source, source)
	case scheme == "file":
		return r.files(source)
	case scheme == "kafka":
		return r.topic(source)
	case scheme == "zankv":
		return r.live(source)
	}
	return fmt.Errorf("verify: %q: %w", source, ErrSource)
}

// files reads what a file:// URI names: an archive's has options and braces.
func (r *run) files(source string) error {
	u, err := url.Parse(source)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if info, err := os.Stat(u.Path); u.Host == "" && err == nil && !info.IsDir() {
		return r.file(u.Path)
	}
	folder, err := archive.Folder(source, archive.Names{Cluster: r.o.Cluster, Namespace: r.o.Namespace, Changefeed: r.o.Changefeed})
	if err != nil {
		return err
	}
	return r.path(folder, source)
}

func (r *run) path(path, source string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if !info.IsDir() {
		return r.file(path)
	}
	readers, err := openArchive(path)
	if err == nil && len(readers) == 0 {
		err = fmt.Errorf("verify: %s: no archive of a partition is in it (a folder as default-0, with segments)", source)
	}
	for i := 0; err == nil && i < len(readers); i++ {
		err = r.archive(readers[i])
	}
	return err
}

func (r *run) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	if !strings.HasSuffix(path, ".zst") {
		return r.lines(f, path)
	}
	in, err := archive.Unpack(f)
	if err != nil {
		return fmt.Errorf("verify: %s: %w", path, err)
	}
	defer in.Close()
	return r.lines(in, path)
}

// openArchive opens all partitions' archives in a folder, which may be a partition's own, or lie some folders above them.
func openArchive(folder string) ([]*archive.Reader, error) {
	if one, err := archive.OpenFolder(folder); err == nil {
		return []*archive.Reader{one}, nil
	}
	for range maxDepth {
		found, err := archive.Partitions(folder)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return openAll(folder, found)
		}
		if folder, err = onlyFolder(folder); err != nil || folder == "" {
			return nil, err
		}
	}
	return nil, nil
}

// maxDepth is how many folders may lie above the partitions': {cluster}/{namespace}/{changefeed} and one.
const maxDepth = 5

func openAll(folder string, found []archive.Partition) (readers []*archive.Reader, err error) {
	for _, p := range found {
		reader, err := archive.Open(folder, p.Namespace, p.Number, archive.ReadOptions{})
		if err != nil {
			return nil, err
		}
		readers = append(readers, reader)
	}
	return readers, nil
}

// onlyFolder is the one folder in a folder, "" if there is none or more.
func onlyFolder(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", fmt.Errorf("verify: %w", err)
	}
	var only string
	for _, e := range entries {
		if e.IsDir() && only != "" {
			return "", fmt.Errorf("verify: %s has several folders, and no partition's among them: name one of them", folder)
		}
		if e.IsDir() {
			only = filepath.Join(folder, e.Name())
		}
	}
	return only, nil
}

// inArchive is where a line of an archive lies.
type inArchive struct{ archive.Where }

func (w *inArchive) describe() (string, int64, int64) { return w.String(), w.Line, w.Offset }

func (r *run) archive(in *archive.Reader) error {
	if n := in.Dropped(); n > 0 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s: %d bytes at the end of the newest segments don't count: they are being written, or were left unfinished; "+
			"whoever goes on writing goes on before them, after %s", in.Path(), n, in.Newest()))
	}
	lines := in.Lines()
	defer lines.Close()
	var at inArchive
	for {
		line, where, err := lines.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		at.Where = where
		if err := r.add(line, &at); err != nil {
			return err
		}
		if err := r.tick(len(line) + 1); err != nil {
			return err
		}
	}
}
