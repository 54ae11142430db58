package memmeta

import (
	"testing"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

func TestConformance(t *testing.T) {
	metatest.Run(t, func(*testing.T) func(*testing.T) meta.Store {
		s := New()
		return func(*testing.T) meta.Store { return s }
	})
}

// A presence that has run out leaves the addresses and tells nobody.
func TestExpire(t *testing.T) {
	s := New()
	id, err := s.AllocateNodeID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ses, err := s.RegisterNode(t.Context(), metatest.Node(id))
	if err != nil {
		t.Fatal(err)
	}
	s.Expire(id)
	if n := s.View().Nodes[id]; n == nil || n.Live {
		t.Fatalf("node %+v, want it known and not live", n)
	}
	select {
	case <-ses.Lost():
		t.Fatal("told that another process took over")
	default:
	}
}

func TestChangefeeds(t *testing.T) {
	metatest.RunChangefeeds(t, func(*testing.T) func(*testing.T, string) metatest.FeedProcess {
		s := New()
		return func(_ *testing.T, name string) metatest.FeedProcess {
			return metatest.FeedProcess{Registry: s.Changefeeds(), Name: name, Die: func() { s.ExpireClaims(name) }}
		}
	})
}
