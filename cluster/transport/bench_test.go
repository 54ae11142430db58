package transport

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkSend sends batches of 50 small MsgApp, as a busy node does, and waits for their delivery. One op is one message.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{128, 4096} {
		b.Run(fmt.Sprintf("entry=%d", size), func(b *testing.B) {
			n := newTestNet()
			var got atomic.Int64
			progress := make(chan struct{}, 1)
			startNode(b, n, 2, func(_ *Options, node *testNode) {
				node.deliver = func(_ NodeID, msgs []Message) {
					got.Add(int64(len(msgs)))
					select {
					case progress <- struct{}{}:
					default:
					}
				}
			})
			a := startNode(b, n, 1, nil)
			batch := make([]Message, 50)
			data := make([]byte, size)
			for i := range batch {
				batch[i] = appendMessage(uint64(i), 1, data)
			}
			const window = 5000 // messages under way
			b.SetBytes(int64(size))
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				if sent%50 == 0 {
					for sent-got.Load() > window {
						<-progress
					}
					a.Send(2, batch)
				}
				sent++
			}
			for got.Load() < sent {
				<-progress
			}
			b.ReportMetric(float64(sent)/float64(a.Metrics().Writes), "msgs/write")
		})
	}
}

// BenchmarkRoundTrip is one small message there and one back.
func BenchmarkRoundTrip(b *testing.B) {
	n := newTestNet()
	var a, c *testNode
	back := make(chan struct{})
	ready := make(chan struct{})
	c = startNode(b, n, 2, func(_ *Options, node *testNode) {
		node.deliver = func(_ NodeID, msgs []Message) { <-ready; c.Send(1, msgs) }
	})
	close(ready)
	a = startNode(b, n, 1, func(_ *Options, node *testNode) {
		node.deliver = func(NodeID, []Message) { back <- struct{}{} }
	})
	m := []Message{appendMessage(1, 1, make([]byte, 128))}
	for b.Loop() {
		a.Send(2, m)
		<-back
	}
}

// BenchmarkSnapshot sends 64 MiB in 8 files; the receiver syncs them.
func BenchmarkSnapshot(b *testing.B) {
	const size, files = 8 << 20, 8
	n, parent := newTestNet(), b.TempDir()
	var number atomic.Int64
	startNode(b, n, 2, func(_ *Options, node *testNode) {
		node.begin = func(SnapshotHeader) (string, bool, error) {
			return filepath.Join(parent, fmt.Sprint(number.Add(1))), true, nil
		}
	})
	a := startNode(b, n, 1, nil)
	sizes := make([]int, files)
	for i := range sizes {
		sizes[i] = size
	}
	dir := writeFiles(b, sizes...)
	b.SetBytes(size * files)
	for b.Loop() {
		if err := a.SendSnapshot(b.Context(), 2, testHeader, dir); err != nil {
			b.Fatal(err)
		}
	}
}
