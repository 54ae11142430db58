package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	probeBlock = 4096
	probeSyncs = 300
)

// diskMeasurement times fdatasync after 4 KiB appended, and after 4 KiB written over a block that is there: what a write
// can't be faster than.
func diskMeasurement(o *Options) Measurement {
	return Measurement{Name: "disk", Turn: turnDisk, Run: func(ctx context.Context) (Samples, error) {
		appended, over, err := probe(ctx, o.Dir)
		return Samples{"disk.append.us": appended, "disk.overwrite.us": over}, err
	}}
}

// probe returns both times in microseconds.
func probe(ctx context.Context, dir string) (appended, over float64, err error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	if appended, err = timeSyncs(ctx, f); err != nil {
		return 0, 0, err
	}
	if _, err = f.Seek(0, 0); err != nil {
		return 0, 0, err
	}
	over, err = timeSyncs(ctx, f)
	return appended, over, err
}

// timeSyncs writes and syncs block by block and returns the median of the times, in microseconds.
func timeSyncs(ctx context.Context, f *os.File) (float64, error) {
	block := make([]byte, probeBlock)
	times := make([]float64, 0, probeSyncs)
	for i := range probeSyncs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		block[0] = byte(i)
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := fdatasync(f); err != nil {
			return 0, fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
	}
	return median(times), nil
}
