package etcdmeta

import (
	"context"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/meta/etcdserver"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

// BenchmarkChangefeeds is what a save, and a claim with its release, cost beside a bare put of etcd's.
func BenchmarkChangefeeds(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	etcd, err := etcdserver.Start(ctx, etcdserver.Options{DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer etcd.Close()
	s, err := Open(Options{Endpoints: []string{etcd.Endpoint()}, ClusterID: cluster})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := s.Changefeeds()
	if err := r.Create(b.Context(), metatest.Changefeed("f")); err != nil {
		b.Fatal(err)
	}
	p := metatest.Progress(1)
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.client.Put(b.Context(), "x", encode(&p)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("save", func(b *testing.B) {
		c, err := r.Claim(b.Context(), "f", 0, "a")
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := c.Save(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("claim and release", func(b *testing.B) {
		for b.Loop() {
			c, err := r.Claim(b.Context(), "f", 1, "a")
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Release(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
