package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zankv/zankv/cdc/event"
)

// ReadOptions say what a URI's braces stand for, beside the namespace.
type ReadOptions struct {
	Cluster, Changefeed string
}

// Reader reads the archive of one partition, as it was when it was opened: what an owner writes meanwhile isn't in it. Its methods may be called from
// any goroutine.
type Reader struct {
	folder folder
	parts  []part
	// end is what the archive reaches, dropped what lies behind it.
	end     event.Position
	dropped int64
}

// Open opens a partition's archive. uri is the sink's URI, or the path of its folder. An archive that has nothing of the partition gives fs.ErrNotExist.
func Open(uri, namespace string, partition uint32, o ReadOptions) (*Reader, error) {
	above, err := Folder(uri, Names{Cluster: o.Cluster, Namespace: namespace, Changefeed: o.Changefeed})
	if err != nil {
		return nil, badSource(err)
	}
	return open(osFiles{}, filepath.Join(above, folderOf(namespace, partition)))
}

// Folder is the folder that a URI, or a path, names.
func Folder(uri string, n Names) (string, error) {
	if strings.HasPrefix(uri, "/") {
		return Config{Folder: filepath.Clean(uri)}.Place(n)
	}
	cfg, err := ParseURI(uri)
	if err != nil {
		return "", err
	}
	return cfg.Place(n)
}

// Partitions are those that a folder has archives of, in order.
func Partitions(folder string) ([]Partition, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	var out []Partition
	for _, e := range entries {
		p, ok := parseFolder(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		inside, err := osFiles{}.List(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		if len(segmentsOf(inside)) > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Partition) int {
		if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
			return c
		}
		return int(a.Number) - int(b.Number)
	})
	return out, nil
}

func open(fs fileSystem, path string) (*Reader, error) {
	r := &Reader{folder: folder{fs: fs, path: path}}
	parts, _, err := r.folder.list()
	if err == nil && len(parts) == 0 {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, unread(err, path+" has no segments that can be read")
	}
	end, err := r.folder.findTail(parts)
	if err != nil {
		return nil, unread(err, "the end of "+path+" can't be read")
	}
	r.parts, r.end, r.dropped = end.parts, end.position, end.dropped
	return r, nil
}

// Newest is the position that the archive reaches, of an event, a heartbeat or a snapshot. Dropped is how many bytes lie behind that: what an
// owner is writing or left unfinished; the next one goes on before it.
func (r *Reader) Newest() event.Position { return r.end }
func (r *Reader) Dropped() int64         { return r.dropped }

// Where says where a line lies: in which file, as which line from 1, at which byte of the file's unpacked content.
type Where struct {
	File   string
	Line   int64
	Offset int64
}

func (w Where) String() string { return fmt.Sprintf("%s, line %d (byte %d)", w.File, w.Line, w.Offset) }

// Lines reads the archive's lines in order. It is for one goroutine.
type Lines struct {
	r       *Reader
	next    int // part
	content *content
	in      *splitter
	at      Where
}

// Lines begins with the oldest line.
func (r *Reader) Lines() *Lines { return &Lines{r: r} }

// Next gives the next line, without its line feed, and where it lies; io.EOF at the archive's end. The line is valid until the next call. Other
// errors are a *changefeed.Error.
func (l *Lines) Next() ([]byte, Where, error) {
	for {
		if l.content == nil {
			if l.next == len(l.r.parts) {
				return nil, Where{}, io.EOF
			}
			if err := l.open(); err != nil {
				return nil, Where{}, err
			}
		}
		line, at, err := l.in.next()
		if err == nil {
			l.at.Line++
			l.at.Offset = at
			return line[:len(line)-1], l.at, nil
		}
		if err := l.ended(err); err != nil {
			return nil, Where{}, err
		}
	}
}

func (l *Lines) open() error {
	p := &l.r.parts[l.next]
	c, err := l.r.folder.read(p, 0)
	if notExist(err) {
		return unread(err, p.name()+" was removed meanwhile, as keep-bytes or keep-age want it: open the archive again")
	}
	if err != nil {
		return unread(err, p.name()+" can't be read in "+l.r.folder.path)
	}
	l.content, l.in, l.at = c, newSplitter(c, 0), Where{File: filepath.Join(l.r.folder.path, p.name())}
	return nil
}

// ended checks that a segment had as much as counts of it.
func (l *Lines) ended(err error) error {
	p := &l.r.parts[l.next]
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if l.in.offset != p.bytes || err != io.EOF {
			return corrupt("%s ends after %d bytes, and in a line or before the %d that were written", l.at.File, l.in.offset, p.bytes)
		}
	default:
		return corrupt("%s can't be read at byte %d: %v", l.at.File, l.in.offset, err)
	}
	l.next++
	return l.Close()
}

// Close ends it.
func (l *Lines) Close() error {
	if l.content == nil {
		return nil
	}
	err := l.content.Close()
	l.content = nil
	return unread(err, l.at.File+" can't be closed")
}

// OpenFolder opens the archive in a partition's own folder.
func OpenFolder(folder string) (*Reader, error) { return open(osFiles{}, folder) }

// Path is the partition's folder.
func (r *Reader) Path() string { return r.folder.path }
