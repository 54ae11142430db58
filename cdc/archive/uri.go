package archive

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Compression is how sealed segments are kept.
type Compression string

const (
	None Compression = "none"
	Zstd Compression = "zstd"
)

// What a Config has when the URI doesn't say.
const (
	DefaultSegmentBytes = 64 << 20
	DefaultSegmentAge   = 24 * time.Hour
)

// Bounds of a Config: a segment may be as large as a reader is ready to pass over, and not so small that a folder fills with names.
const (
	minSegmentBytes = 4 << 10
	maxSegmentBytes = 16 << 30
	minSegmentAge   = time.Second
)

// Config is what a file:// URI says.
type Config struct {
	// Folder is the absolute path above the partitions' folders. {cluster}, {namespace} and {changefeed} in it stand for names.
	Folder      string
	Compression Compression
	// SegmentBytes and SegmentAge are when the next segment is begun, whichever comes first.
	SegmentBytes int64
	SegmentAge   time.Duration
	// KeepBytes and KeepAge are from when on the oldest segments of a partition are removed; 0 is never.
	KeepBytes int64
	KeepAge   time.Duration
}

// Names are what the braces in a folder stand for.
type Names struct {
	Cluster, Namespace, Changefeed string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// ParseURI reads file:///folder[/{cluster}/{namespace}/{changefeed}] with the options compression=none|zstd, segment-bytes, segment-age, keep-bytes
// and keep-age. Sizes are numbers of bytes, or with KiB, MiB, GiB; ages are what time.ParseDuration reads. What it doesn't know is an error.
func ParseURI(uri string) (Config, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Config{}, fmt.Errorf("archive: %w", err)
	}
	switch {
	case u.Scheme != "file":
		return Config{}, fmt.Errorf("archive: %q: want file:///folder", uri)
	case u.Host != "" || u.User != nil || u.Opaque != "":
		return Config{}, fmt.Errorf("archive: %q: want three slashes and a path from the root, as file:///var/archive", uri)
	case u.Fragment != "":
		return Config{}, fmt.Errorf("archive: %q: write # in a folder's name as %%23", uri)
	}
	c := Config{Folder: filepath.Clean(u.Path), Compression: None, SegmentBytes: DefaultSegmentBytes, SegmentAge: DefaultSegmentAge}
	if err := c.checkFolder(); err != nil {
		return Config{}, err
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, fmt.Errorf("archive: %q: %w", uri, err)
	}
	for name, values := range options {
		if len(values) != 1 {
			return Config{}, fmt.Errorf("archive: %s is given %d times", name, len(values))
		}
		if err := c.set(name, values[0]); err != nil {
			return Config{}, fmt.Errorf("archive: %s=%s: %w", name, values[0], err)
		}
	}
	return c, c.check()
}

func (c *Config) checkFolder() error {
	if !filepath.IsAbs(c.Folder) || c.Folder == "/" {
		return fmt.Errorf("archive: folder %q: want a path from the root, and not the root itself", c.Folder)
	}
	for _, name := range placeholder.FindAllString(c.Folder, -1) {
		if name != "{cluster}" && name != "{namespace}" && name != "{changefeed}" {
			return fmt.Errorf("archive: %s in %s: want {cluster}, {namespace} or {changefeed}", name, c.Folder)
		}
	}
	return nil
}

func (c *Config) set(name, value string) (err error) {
	switch name {
	case "compression":
		c.Compression = Compression(value)
		if c.Compression != None && c.Compression != Zstd {
			return fmt.Errorf("want %s or %s", None, Zstd)
		}
	case "segment-bytes":
		c.SegmentBytes, err = parseBytes(value)
	case "segment-age":
		c.SegmentAge, err = time.ParseDuration(value)
	case "keep-bytes":
		c.KeepBytes, err = parseBytes(value)
	case "keep-age":
		c.KeepAge, err = time.ParseDuration(value)
	default:
		return fmt.Errorf("there is no such option: want compression, segment-bytes, segment-age, keep-bytes, keep-age")
	}
	return err
}

func (c *Config) check() error {
	switch {
	case c.SegmentBytes < minSegmentBytes || c.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("archive: segment-bytes of %d: want 4KiB to 16GiB", c.SegmentBytes)
	case c.SegmentAge < minSegmentAge:
		return fmt.Errorf("archive: segment-age %s: want at least %s", c.SegmentAge, minSegmentAge)
	case c.KeepBytes < 0 || c.KeepBytes > 0 && c.KeepBytes < c.SegmentBytes:
		return fmt.Errorf("archive: keep-bytes of %d: want 0 (keep all) or at least a segment's %d", c.KeepBytes, c.SegmentBytes)
	case c.KeepAge < 0 || c.KeepAge > 0 && c.KeepAge < c.SegmentAge:
		return fmt.Errorf("archive: keep-age %s: want 0 (keep all) or at least a segment's %s", c.KeepAge, c.SegmentAge)
	}
	return nil
}

var units = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}

// parseBytes reads 67108864, or 64MiB.
func parseBytes(s string) (int64, error) {
	digits, shift := s, uint(0)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, shift = rest, u.shift
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("want a number of bytes, as 67108864, 64MiB or 2GiB")
	}
	return n << shift, nil
}

// Place puts names into a folder's braces. A name that a folder can't have as one part of its path is an error.
func (c Config) Place(n Names) (string, error) {
	var bad error
	folder := placeholder.ReplaceAllStringFunc(c.Folder, func(brace string) string {
		name := map[string]string{"{cluster}": n.Cluster, "{namespace}": n.Namespace, "{changefeed}": n.Changefeed}[brace]
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			bad = fmt.Errorf("archive: %s in %s: %q is no name for a folder", brace, c.Folder, name)
		}
		return name
	})
	return folder, bad
}
