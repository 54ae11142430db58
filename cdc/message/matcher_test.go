package message

import (
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

func TestMatcher(t *testing.T) {
	names := event.Names{"", "dc-a", "dc-b", "dc-c"}
	set := func(key string, origin event.ClusterNumber) *event.Mutation {
		m := &event.Mutation{Op: event.OpSet, Key: []byte(key)}
		if origin != 0 {
			m.Origin = &event.Origin{Cluster: origin}
		}
		return m
	}
	hset := &event.Mutation{Op: event.OpHSet, Key: []byte("users:1")}
	keys := func(from, to string) *event.Mutation {
		return &event.Mutation{Op: event.OpRange, Key: []byte(from), Value: []byte(to)}
	}
	tables, patterns := changefeed.Filter{Tables: []string{"users", "carts"}}, changefeed.Filter{Keys: []string{"users:[12]", "a*"}}
	for _, c := range []struct {
		filter changefeed.Filter
		m      *event.Mutation
		want   bool
	}{
		{changefeed.Filter{}, set("x", 2), true},
		{tables, set("users:1", 0), true},
		{tables, set("carts:", 0), true},
		{tables, set("users", 0), false},
		{tables, set("usersx:1", 0), false},
		{patterns, set("users:1", 0), true},
		{patterns, set("users:3", 0), false},
		{patterns, set("abc", 0), true},
		{changefeed.Filter{Tables: []string{"users"}, Keys: []string{"*2"}}, set("users:1", 0), false},
		{changefeed.Filter{Ops: []string{"hset", "del"}}, hset, true},
		{changefeed.Filter{Ops: []string{"hset", "del"}}, set("x", 0), false},
		{changefeed.Filter{Origins: []string{"dc-a"}}, set("x", 0), true},
		{changefeed.Filter{Origins: []string{"dc-a"}}, set("x", 2), false},
		{changefeed.Filter{Origins: []string{"!dc-b"}}, set("x", 2), false},
		{changefeed.Filter{Origins: []string{"!dc-b"}}, set("x", 3), true},
		{changefeed.Filter{Origins: []string{"!dc-b"}}, set("x", 0), true},
		{changefeed.Filter{Origins: []string{"!dc-b", "dc-c"}}, set("x", 3), true},
		{changefeed.Filter{Origins: []string{"!dc-b", "dc-c"}}, set("x", 0), false},

		{tables, keys("", ""), true},
		{tables, keys("users:5", "users:6"), true},
		{tables, keys("users:5", ""), true},
		{tables, keys("a", "carts:"), false},
		{tables, keys("a", "carts:\x00"), true},
		{tables, keys("carts;", "users:"), false},
		{tables, keys("users;", ""), false},
		{patterns, keys("b", "users:"), false},
		{patterns, keys("ab", "ac"), true},
		{patterns, keys("users:9", ""), true}, // it could: what follows the prefix isn't looked at
		{changefeed.Filter{Tables: []string{"users"}, Keys: []string{"carts:*"}}, keys("users:", "users;"), false},
		{changefeed.Filter{Ops: []string{"del"}}, keys("", ""), false},
	} {
		m, err := Compile(c.filter, "dc-a")
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Match(c.m, names); got != c.want {
			t.Errorf("%+v on %s %q %q: %t", c.filter, c.m.Op, c.m.Key, c.m.Value, got)
		}
	}
	for _, wrong := range []changefeed.Filter{{Ops: []string{"hsett"}}, {Origins: []string{"!"}}, {Origins: []string{""}}} {
		if _, err := Compile(wrong, "dc-a"); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}
