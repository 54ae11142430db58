package archive

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

// benchArchive writes a stream in batches of about 1 MiB, as message.Writer fills them.
func benchArchive(b *testing.B, path string, units []streamtest.Unit) (bytes int64) {
	b.Helper()
	sink := newSink(Config{SegmentBytes: DefaultSegmentBytes, SegmentAge: DefaultSegmentAge}, Options{}, osFiles{}, time.Now)
	d := &folder{fs: osFiles{}, path: path}
	end, err := sink.takeOver(d, 1)
	if err != nil {
		b.Fatal(err)
	}
	a, err := sink.begin(d, 1, end, false)
	if err != nil {
		b.Fatal(err)
	}
	var batch message.Batch
	for i := range units {
		batch.Messages = append(batch.Messages, units[i].Messages...)
		batch.Last = units[i].Reached
		for j := range units[i].Messages {
			batch.Bytes += len(units[i].Messages[j].Value)
		}
		if batch.Bytes < 1<<20 && i < len(units)-1 {
			continue
		}
		bytes += int64(batch.Bytes)
		if err := a.Append(context.Background(), &batch); err != nil {
			b.Fatal(err)
		}
		batch.Messages, batch.Bytes = batch.Messages[:0], 0
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	return bytes
}

// BenchmarkAppend writes and syncs to the real disk; BenchmarkEvents reads whole events back, checked.
func BenchmarkAppend(b *testing.B) {
	units := streamtest.New(1).Fill(20000, false).Units
	for b.Loop() {
		b.SetBytes(benchArchive(b, b.TempDir(), units))
	}
}

func BenchmarkEvents(b *testing.B) {
	units := streamtest.New(1).Fill(20000, false).Units
	folder := b.TempDir()
	b.SetBytes(benchArchive(b, folder, units))
	for b.Loop() {
		r, err := OpenFolder(folder)
		if err != nil {
			b.Fatal(err)
		}
		st, err := r.Events(context.Background(), changefeed.Place{ChainKnown: true})
		for err == nil {
			_, err = st.Next(context.Background())
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		st.Close()
	}
}
