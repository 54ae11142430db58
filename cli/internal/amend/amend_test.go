package amend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cluster/local"
	"github.com/zankv/zankv/conflict"
)

// here and there are clients of two real clusters.
var here, there *redis.Client

func TestMain(m *testing.M) {
	os.Exit(func() int {
		for name, client := range map[string]**redis.Client{"dc-b": &here, "dc-a": &there} {
			c, stop, err := start(name)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer stop()
			*client = c
		}
		return m.Run()
	}())
}

func start(id string) (*redis.Client, func(), error) {
	dir, err := os.MkdirTemp("", "amend")
	if err != nil {
		return nil, nil, err
	}
	c, err := local.Start(context.Background(), local.Options{
		ClusterID: id, DataDir: dir, Nodes: 1, Partitions: 2, Replicas: 1, FreePorts: true, Logger: slog.New(slog.DiscardHandler), OptimizedFsync: true,
	})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	client := redis.NewClient(&redis.Options{Addr: c.Addresses()[0].Redis, Username: local.Namespace, Password: "none", Protocol: 2, DisableIdentity: true})
	return client, func() {
		client.Close()
		c.Close()
		os.RemoveAll(dir)
	}, nil
}

// do runs a command of which the words are separated by spaces, at both clusters or one.
func do(t *testing.T, c *redis.Client, command string) string {
	t.Helper()
	var args []any
	for _, w := range strings.Fields(command) {
		args = append(args, w)
	}
	v, err := c.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%s: %v", command, err)
	}
	return fmt.Sprint(v)
}

func text(value string) conflict.Side {
	return conflict.Side{Exists: true, Type: event.TypeString, Value: []byte(value)}
}

func field(value string) conflict.Side {
	return conflict.Side{Exists: true, Type: event.TypeHash, Value: []byte(value)}
}

func row(rec conflict.Record) *peers.Row {
	if rec.DecidedAt == 0 {
		rec.DecidedAt = time.Now().UnixNano()
	}
	return &peers.Row{Namespace: local.Namespace, Record: &rec}
}

// later is when all that was written before has been so for more than a second.
func later() int64 { return time.Now().Add(2 * time.Second).UnixNano() }

func apply(t *testing.T, o Options) *Result {
	t.Helper()
	o.Here = here
	r, err := Apply(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refused(t *testing.T, o Options, code failure.Code, words string) {
	t.Helper()
	o.Here = here
	_, err := Apply(t.Context(), o)
	if err == nil {
		t.Fatalf("want %s with %q, got nil", code, words)
	}
	if f := failure.Of(err); f.Code != code || !strings.Contains(f.Message+f.Action, words) {
		t.Fatalf("want %s with %q, got %+v", code, words, f)
	}
}

func fromThere(context.Context) (*redis.Client, error) { return there, nil }

// Each register is settled by its own command, both ways; what was chosen and stands is left alone.
func TestRegisters(t *testing.T) {
	const far = 4102444800000
	element, key, expiry := conflict.RegisterElement, conflict.RegisterKey, conflict.RegisterExpiry
	absent := func(t event.Type) conflict.Side { return conflict.Side{Type: t} }
	member := conflict.Side{Exists: true, Type: event.TypeSet}
	scored := func(f float64) conflict.Side { return conflict.Side{Exists: true, Type: event.TypeZSet, Score: f} }
	expires := func(ms int64) conflict.Side {
		return conflict.Side{Exists: true, Type: event.TypeHash, ExpireAt: ms}
	}
	withTTL := text("new")
	withTTL.ExpireAt = far
	hash := conflict.Side{Exists: true, Type: event.TypeHash, Count: 2, Parts: []conflict.Part{{Sub: []byte("a"), Value: []byte("1")}, {Sub: []byte("b"), Value: []byte("2")}}}
	for _, c := range []struct {
		name  string
		setup string // what stands here
		rec   conflict.Record
		side  Side
		wrote string // "" for nothing
		look  string
		want  string
	}{
		{"string lost", "set k new", conflict.Record{Register: key, Op: event.OpSet, Action: conflict.Overwrite, Here: text("old"), There: text("new")}, Here, "SET k old", "get k", "old"},
		{"string stands", "set k new", conflict.Record{Register: key, Op: event.OpSet, Action: conflict.Overwrite, Here: text("old"), There: text("new")}, There, "", "get k", "new"},
		{"string ignored", "set k old", conflict.Record{Register: key, Op: event.OpSet, Action: conflict.Ignore, Here: text("old"), There: withTTL}, There, "SET k new PXAT 4102444800000", "pexpiretime k", "4102444800000"},
		{"string's value", "set k old pxat 4102444800000", conflict.Record{Register: key, Op: event.OpValue, Action: conflict.Ignore, Here: text("old"), There: text("new")}, There, "SET k new KEEPTTL", "pexpiretime k", "4102444800000"},
		{"string was deleted", "del k", conflict.Record{Register: key, Op: event.OpDel, Action: conflict.Overwrite, Here: text("old"), There: absent(0)}, Here, "SET k old", "get k", "old"},
		{"string to be deleted", "set k old", conflict.Record{Register: key, Op: event.OpDel, Action: conflict.Ignore, Here: text("old"), There: absent(0)}, There, "DEL k", "exists k", "0"},
		{"hash was deleted", "del k", conflict.Record{Register: key, Op: event.OpDel, Action: conflict.Overwrite, Here: hash, There: absent(0)}, Here, "RESTORE k 0 <20 bytes of DUMP> REPLACE ABSTTL", "hget k b", "2"},
		{"field lost", "hset k f new", conflict.Record{Register: element, Sub: []byte("f"), Op: event.OpHSet, Action: conflict.Overwrite, Here: field("old"), There: field("new")}, Here, "HSET k f old", "hget k f", "old"},
		{"field to be deleted", "hset k f old g 1", conflict.Record{Register: element, Sub: []byte("f"), Op: event.OpHDel, Action: conflict.Ignore, Here: field("old"), There: absent(event.TypeHash)}, There, "HDEL k f", "hexists k f", "0"},
		{"field too old", "hset k g 1", conflict.Record{Register: element, Sub: []byte("f"), Op: event.OpHSet, Rule: conflict.RuleTimestamp, Action: conflict.Diverge, Here: absent(event.TypeHash), There: field("new")}, There, "HSET k f new", "hget k f", "new"},
		{"member lost", "sadd k m", conflict.Record{Register: element, Sub: []byte("n"), Op: event.OpSRem, Action: conflict.Overwrite, Here: member, There: absent(event.TypeSet)}, Here, "SADD k n", "sismember k n", "1"},
		{"member to go", "sadd k n", conflict.Record{Register: element, Sub: []byte("n"), Op: event.OpSRem, Action: conflict.Ignore, Here: member, There: absent(event.TypeSet)}, There, "SREM k n", "exists k", "0"},
		{"score lost", "zadd k 2 m", conflict.Record{Register: element, Sub: []byte("m"), Op: event.OpZAdd, Action: conflict.Overwrite, Here: scored(1.5), There: scored(2)}, Here, "ZADD k 1.5 m", "zscore k m", "1.5"},
		{"scored member to go", "zadd k 2 m", conflict.Record{Register: element, Sub: []byte("m"), Op: event.OpZRem, Action: conflict.Ignore, Here: scored(2), There: absent(event.TypeZSet)}, There, "ZREM k m", "exists k", "0"},
		{"expiry lost", "hset k f 1", conflict.Record{Register: expiry, Op: event.OpPersist, Action: conflict.Overwrite, Here: expires(far), There: expires(0)}, Here, "PEXPIREAT k 4102444800000", "pexpiretime k", "4102444800000"},
		{"no expiry", "set k 1 pxat 4102444800000", conflict.Record{Register: expiry, Op: event.OpPersist, Action: conflict.Ignore, Here: expires(far), There: expires(0)}, There, "PERSIST k", "pexpiretime k", "-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			do(t, here, "del k")
			do(t, here, c.setup)
			c.rec.Key, c.rec.Rule = []byte("k"), conflict.RuleTimestamp
			o := Options{Row: row(c.rec), Side: c.side}
			o.DryRun = true
			before := do(t, here, "dump k") + do(t, here, "pexpiretime k")
			if r := apply(t, o); r.Written || do(t, here, "dump k")+do(t, here, "pexpiretime k") != before {
				t.Error("a dry run has written")
			}
			o.DryRun = false
			r := apply(t, o)
			if got := said(r); got != c.wrote || r.Written != (c.wrote != "") {
				t.Errorf("wrote %q, want %q", got, c.wrote)
			}
			if got := do(t, here, c.look); got != c.want {
				t.Errorf("%s: %s, want %s", c.look, got, c.want)
			}
			if r := apply(t, o); r.Written {
				t.Errorf("written again: %s", said(r))
			}
		})
	}
}

func said(r *Result) string {
	if r.Command == nil {
		return ""
	}
	return r.Command.String()
}

// A key that was changed since isn't written over, unless that is forced; one that is changed meanwhile never is.
func TestChanged(t *testing.T) {
	rec := conflict.Record{
		Register: conflict.RegisterKey, Op: event.OpSet, Rule: conflict.RuleTimestamp, Action: conflict.Overwrite, Key: []byte("c"), Here: text("old"), There: text("new"),
	}
	do(t, here, "set c newer")
	refused(t, Options{Row: row(rec), Side: Here}, failure.Refused, "--force")
	refused(t, Options{Row: row(rec), Side: There}, failure.Refused, `"newer"`)
	do(t, here, "del c")
	do(t, here, "sadd c m")
	refused(t, Options{Row: row(rec), Side: Here}, failure.Refused, "a set of 1")
	if r := apply(t, Options{Row: row(rec), Side: Here, Force: true}); said(r) != "SET c old" || do(t, here, "get c") != "old" {
		t.Errorf("forced: %s", said(r))
	}

	rec.Register, rec.Op, rec.Sub, rec.Here, rec.There = conflict.RegisterElement, event.OpHSet, []byte("f"), field("old"), field("new")
	refused(t, Options{Row: row(rec), Side: Here}, failure.Refused, "another type")
	do(t, here, "del c")
	do(t, here, "hset c f newer")
	refused(t, Options{Row: row(rec), Side: Here}, failure.Refused, `"newer"`)

	rec.Register, rec.Op, rec.Here, rec.There = conflict.RegisterExpiry, event.OpExpireAt, conflict.Side{Exists: true}, conflict.Side{Exists: true, ExpireAt: 1}
	rec.Action = conflict.Ignore
	refused(t, Options{Row: row(rec), Side: There}, failure.Refused, "has expired")
	do(t, here, "del c")
	refused(t, Options{Row: row(rec), Side: There}, failure.Refused, "isn't there any more")
}

// Content that the row has only a digest of is taken from the other cluster, if it still is what the digest says.
func TestDigest(t *testing.T) {
	long := strings.Repeat("x", 100)
	thereSide := conflict.Side{Exists: true, Type: event.TypeHash, Size: 100, Digest: digest([]byte(long))}
	rec := conflict.Record{Register: conflict.RegisterElement, Sub: []byte("f"), Op: event.OpHSet, Rule: conflict.RuleTimestamp, Action: conflict.Ignore, Key: []byte("d"), Here: field("old"), There: thereSide}
	do(t, here, "hset d f old")
	do(t, there, "hset d f another")
	refused(t, Options{Row: row(rec), Side: There}, failure.Refused, "--other")
	refused(t, Options{Row: row(rec), Side: There, Other: fromThere}, failure.Refused, `"another"`)
	do(t, there, "hset d f "+long)
	if apply(t, Options{Row: row(rec), Side: There, Other: fromThere}); do(t, here, "hget d f") != long {
		t.Error("not written")
	}

	big := text("")
	big.Value, big.Digest, big.Size = nil, digest([]byte(long)), 100
	rec = conflict.Record{Register: conflict.RegisterKey, Op: event.OpSet, Rule: conflict.RuleTimestamp, Action: conflict.Overwrite, Key: []byte("e"), Here: text("old"), There: big}
	do(t, here, "set e "+long)
	if r := apply(t, Options{Row: row(rec), Side: There}); r.Command != nil {
		t.Errorf("it stands there: %s", said(r))
	}
	if apply(t, Options{Row: row(rec), Side: Here}); do(t, here, "get e") != "old" {
		t.Error("not written")
	}
}

func diverged(key string, at int64) *peers.Row {
	return &peers.Row{Namespace: local.Namespace, Diverged: &conflict.Diverged{Key: []byte(key), Source: "dc-a", Type: event.TypeSet, LastAt: at}}
}

// A key that has diverged, and what was held back of one, is written whole, with its expiry, as it is in the cluster that was chosen.
func TestWhole(t *testing.T) {
	held := row(conflict.Record{
		Register: conflict.RegisterElement, Sub: []byte("m"), Op: event.OpSAdd, Rule: conflict.RuleStrict, Action: conflict.Diverge, Key: []byte("w"),
		Here: conflict.Side{Type: event.TypeSet}, There: conflict.Side{Exists: true, Type: event.TypeSet}, DecidedAt: later(),
	})
	for _, r := range []*peers.Row{diverged("w", later()), held} {
		do(t, here, "del w")
		do(t, there, "del w")
		do(t, here, "sadd w a b")
		do(t, there, "sadd w c")
		do(t, there, "pexpireat w 4102444800000")
		if r := apply(t, Options{Row: r, Side: Here}); !strings.HasPrefix(said(r), "RESTORE w 0 <") || do(t, here, "scard w") != "2" {
			t.Errorf("here: %s", said(r))
		}
		refused(t, Options{Row: r, Side: There}, failure.Refused, "--other")
		if apply(t, Options{Row: r, Side: There, Other: fromThere}); do(t, here, "smembers w") != "[c]" || do(t, here, "pexpiretime w") != "4102444800000" {
			t.Errorf("there: %s, %s", do(t, here, "smembers w"), do(t, here, "pexpiretime w"))
		}
		do(t, there, "del w")
		if r := apply(t, Options{Row: r, Side: There, Other: fromThere}); said(r) != "DEL w" || do(t, here, "exists w") != "0" {
			t.Errorf("there, removed: %s", said(r))
		}
	}
	do(t, here, "sadd w later")
	refused(t, Options{Row: diverged("w", time.Now().Add(-time.Minute).UnixNano()), Side: Here}, failure.Refused, "was written here")
	if r := apply(t, Options{Row: diverged("w", time.Now().Add(-time.Minute).UnixNano()), Side: Here, Force: true}); !r.Written {
		t.Error("not forced")
	}
}

// A side that has no key is a removal too, which the other cluster must hear of: DEL of a key that isn't there would be no change.
func TestWholeAbsent(t *testing.T) {
	do(t, here, "del n")
	do(t, there, "del n")
	do(t, there, "sadd n a")
	r := apply(t, Options{Row: diverged("n", later()), Side: Here})
	if r.Made == nil || r.Made.String() != `SET n ""` || said(r) != "DEL n" || do(t, here, "exists n") != "0" {
		t.Errorf("%v, %s", r.Made, said(r))
	}
	do(t, here, "sadd n b")
	do(t, there, "del n")
	if r := apply(t, Options{Row: diverged("n", later()), Side: There, Other: fromThere}); r.Made != nil || said(r) != "DEL n" || do(t, here, "exists n") != "0" {
		t.Errorf("%v, %s", r.Made, said(r))
	}
}

// Who writes between the look and the write isn't overwritten.
func TestMeanwhile(t *testing.T) {
	do(t, here, "sadd v a")
	do(t, there, "sadd v b")
	o := Options{Row: diverged("v", later()), Side: There, Other: func(context.Context) (*redis.Client, error) {
		do(t, here, "sadd v meanwhile")
		return there, nil
	}}
	refused(t, o, failure.Conflict, "somebody else")
	if got := do(t, here, "sismember v meanwhile"); got != "1" {
		t.Error("written over")
	}
}

func TestCommandText(t *testing.T) {
	c := commandOf("HSET", []byte("a b"), []byte{0xff}, []byte(""))
	if got := c.String(); got != `HSET "a b" base64:/w== ""` {
		t.Error(got)
	}
	if got := c.Words(); !slices.Equal(got, []string{"HSET", "a b", "base64:/w==", ""}) {
		t.Errorf("%q", got)
	}
}
