package kafka

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/compress/gzip"
	"github.com/segmentio/kafka-go/compress/lz4"
	"github.com/segmentio/kafka-go/compress/snappy"
	"github.com/segmentio/kafka-go/compress/zstd"
)

// Compression is how record batches are compressed; the numbers are Kafka's.
type Compression int8

const (
	CompressNone   Compression = 0
	CompressGzip   Compression = 1
	CompressSnappy Compression = 2
	CompressLZ4    Compression = 3
	CompressZstd   Compression = 4
)

// DefaultCompression is the URI's when it doesn't say: see the README for what each costs and saves.
const DefaultCompression = CompressSnappy

var compressionNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Compression) String() string { return compressionNames[c] }

func parseCompression(name string) (Compression, error) {
	i := slices.Index(compressionNames, name)
	if i < 0 {
		return 0, fmt.Errorf("kafka: option compression=%q: want one of %s", name, strings.Join(compressionNames, ", "))
	}
	return Compression(i), nil
}

// codecs are for writing and reading. They keep their working memory in pools.
var codecs = [...]compress.Codec{
	CompressGzip:   &gzip.Codec{},
	CompressSnappy: &snappy.Codec{},
	CompressLZ4:    &lz4.Codec{},
	CompressZstd:   &zstd.Codec{Level: 1},
}

// appendCompressed appends the compressed form of records to dst; false if it isn't shorter.
func appendCompressed(dst, records []byte, c Compression) ([]byte, bool) {
	out := sliceWriter{dst}
	w := codecs[c].NewWriter(&out)
	_, err := w.Write(records)
	if e := w.Close(); err == nil {
		err = e
	}
	return out.buf, err == nil && len(out.buf)-len(dst) < len(records)
}

// sliceWriter is a slice as a writer.
type sliceWriter struct{ buf []byte }

func (a *sliceWriter) Write(p []byte) (int, error) {
	a.buf = append(a.buf, p...)
	return len(p), nil
}
