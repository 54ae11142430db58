package resp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// The scans of tables run against the tests' state, which is read under a lock. HSCAN reads a string's bytes there as its fields.
func init() {
	for _, name := range []string{"advscan", "advrevscan", "fullscan"} {
		command.Lookup([]byte(name)).Flags &^= command.ManyRows
	}
	hscan := command.Lookup([]byte("hscan"))
	hscan.Flags &^= command.ManyRows
	hscan.Run = func(c *command.Context) error {
		m, _, err := c.View.Meta(c.Args[1])
		if err != nil {
			return err
		}
		at := 0
		if len(c.Args[2]) > 0 {
			at = bytes.IndexByte(m.Value, c.Args[2][0]) + 1
		}
		q, problem := command.ParseScan(c.Args[3:])
		if problem != "" {
			c.Reply.Error(problem)
			return nil
		}
		page := m.Value[at:min(at+int(q.Count), len(m.Value))]
		c.Reply.Array(2)
		if at+len(page) < len(m.Value) {
			c.Reply.Bulk(page[len(page)-1:])
		} else {
			c.Reply.Bulk(nil)
		}
		c.Reply.Array(2 * len(page))
		for _, b := range page {
			c.Reply.Bulk([]byte{b})
			c.Reply.Bulk([]byte("v"))
		}
		return nil
	}
}

// KeysReverse implements command.View.
func (p *fakePartition) KeysReverse(before []byte, visit func([]byte, *event.Meta) bool) error {
	var all []string
	for k := range p.keys {
		if k < string(before) {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	for _, k := range slices.Backward(all) {
		if !visit([]byte(k), p.keys[k]) {
			break
		}
	}
	return nil
}

// texts takes the bulk strings out of a reply.
func texts(reply string) (all []string) {
	for len(reply) > 0 {
		line, rest, _ := strings.Cut(reply, "\r\n")
		if line[0] == '$' {
			n, _ := strconv.Atoi(line[1:])
			all = append(all, rest[:n])
			rest = rest[n+2:]
		}
		reply = rest
	}
	return all
}

// scanTable runs a scan of a table to its end, and returns what it found.
func scanTable(t *testing.T, c *client, name, table string, options ...string) (found []string, calls int) {
	t.Helper()
	for cursor := ""; ; {
		reply := c.do(append([]string{name, table + cursor}, options...)...)
		if reply[0] != '*' {
			t.Fatalf("%s %s%s %q: %q", name, table, cursor, options, reply)
		}
		all := texts(reply)
		found = append(found, all[1:]...)
		if calls++; all[0] == "" {
			return found, calls
		}
		if calls > 10_000 {
			t.Fatalf("%s %s %q: no end", name, table, options)
		}
		cursor = all[0]
	}
}

// TestTableScans: every key of a table once, in both directions, over partitions led by other nodes; nothing expired, nothing of another table.
func TestTableScans(t *testing.T) {
	cl := newCluster(t, 3, nil, oneNamespace(7))
	shared, bound := dial(t, cl.nodes[0].addr[SharedPort]), dial(t, cl.nodes[1].addr[NamespacePort])
	var want []string
	for i := range 100 {
		key := fmt.Sprint("k", i)
		bound.want("+OK\r\n", "SET", "t:"+key, "v")
		want = append(want, key)
	}
	bound.want("+OK\r\n", "SET", "t:", "v") // a name may be empty
	want = append(want, "")
	bound.want("+OK\r\n", "SET", "t:gone", "v", "PX", "1")
	bound.want("+OK\r\n", "SET", "s:k", "v")
	bound.want("+OK\r\n", "SET", "tt:k", "v")
	bound.want("+OK\r\n", "SET", "t", "v")
	<-time.After(5 * time.Millisecond)
	slices.Sort(want)
	for _, count := range [][]string{nil, {"COUNT", "1"}, {"COUNT", "10"}, {"count", "70"}, {"COUNT", "1000000"}} {
		for _, scan := range []struct {
			c           *client
			name, table string
			options     []string
		}{
			{shared, "SCAN", "default:t:", nil}, {shared, "REVSCAN", "default:t:", nil}, {shared, "ADVSCAN", "default:t:", []string{"kv"}},
			{shared, "ADVREVSCAN", "default:t:", []string{"KV"}}, {bound, "revscan", "t:", nil}, {bound, "advscan", "t:", []string{"KV"}},
			{bound, "advrevscan", "t:", []string{"KV"}},
		} {
			found, calls := scanTable(t, scan.c, scan.name, scan.table, append(scan.options, count...)...)
			slices.Sort(found)
			if !slices.Equal(found, want) {
				t.Errorf("%s %s %s: %d of %d keys: %q", scan.name, scan.table, count, len(found), len(want), found)
			}
			if len(count) > 0 && count[1] == "70" && (calls < 2 || calls > 4) {
				t.Errorf("%s %s: %d calls for 101 keys", scan.name, count, calls)
			}
		}
		full, _ := scanTable(t, bound, "fullscan", "t:", append([]string{"KV"}, count...)...)
		if len(full) != 2*len(want) {
			t.Errorf("fullscan %s: %d texts, want %d", count, len(full), 2*len(want))
		}
	}
	if found, _ := scanTable(t, shared, "advscan", "default:t:", "HASH"); len(found) > 0 {
		t.Errorf("hashes: %q", found)
	}
	if found, _ := scanTable(t, shared, "scan", "default:t:", "MATCH", "k1?", "COUNT", "3"); len(found) != 10 {
		t.Errorf("MATCH: %q", found)
	}
}

// TestTableScanReverse: within a partition, from the last key to the first, also without COUNT.
func TestTableScanReverse(t *testing.T) {
	cl := newCluster(t, 1, nil, oneNamespace(1))
	c := dial(t, cl.nodes[0].addr[SharedPort])
	for _, k := range "abcdef" {
		c.want("+OK\r\n", "SET", "default:t:"+string(k), "v")
	}
	for _, options := range [][]string{nil, {"COUNT", "2"}} {
		if found, _ := scanTable(t, c, "revscan", "default:t:", options...); strings.Join(found, "") != "fedcba" {
			t.Errorf("%q: %q", options, found)
		}
	}
}

func TestTableScanErrors(t *testing.T) {
	cl := newCluster(t, 2, func(o *Options) { o.MaxScanJobs = 1; o.RetryFor = 50 * time.Millisecond }, oneNamespace(4))
	shared, bound := dial(t, cl.nodes[0].addr[SharedPort]), dial(t, cl.nodes[0].addr[NamespacePort])
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const syntax, invalid = "-ERR syntax error\r\n", "-ERR invalid scan cursor\r\n"
	for _, bad := range []string{"x", "====", b64("0"), b64("0:;"), b64("0:YQ=="), b64("4:YQ==;"), b64("-1:YQ==;"), b64("0:?;"), b64("0:YQ==;0:YQ==;"),
		b64("1:YQ==;0:YQ==;"), b64("x:YQ==;"), b64("0:YQ==;") + ":", b64(";")} {
		shared.want(invalid, "scan", "default:t:"+bad)
		shared.want(invalid, "fullscan", "default:t:"+bad, "KV")
		bound.want(invalid, "advscan", "t:"+bad, "KV")
	}
	bound.want(invalid, "fullscan", "t:"+b64("0:"+b64("a:b:c")+";"), "HASH")
	shared.want("-invalid redis key : ERR handle command scan\r\n", "scan", "default")
	shared.want("-invalid table name : ERR handle command scan, default:t\r\n", "scan", "default:t")
	bound.want("-invalid table name : ERR handle command revscan, t\r\n", "revscan", "t")
	bound.want("-invalid table name : ERR handle command revscan, :\r\n", "revscan", ":")
	shared.want(syntax, "scan", "default:t:", "COUNT")
	shared.want(syntax, "scan", "default:t:", "COUNT", "0")
	shared.want(syntax, "scan", "default:t:", "TYPE", "hash")
	shared.want("-ERR value is not an integer or out of range\r\n", "scan", "default:t:", "COUNT", "x")
	shared.want(syntax, "advscan", "default:t:", "STREAM")
	shared.want("-ERR wrong number of arguments for 'advscan' command\r\n", "advscan", "default:t:")
	shared.want("-ERR_CLUSTER_CHANGED: namespace is not found : ERR handle command scan, nosuch:t:\r\n", "scan", "nosuch:t:")
	// The error of one partition is the command's.
	cl.parts["default"][3].leader.Store(0)
	shared.want("-"+noLeader+"\r\n", "scan", "default:t:")
	cl.parts["default"][3].leader.Store(1)
	// Others' scans are in work.
	cl.nodes[0].srv.scanJobs.Add(1)
	shared.want("-too much scan job\r\n", "scan", "default:t:")
	cl.nodes[0].srv.scanJobs.Add(-1)
	shared.want("*2\r\n$0\r\n\r\n*0\r\n", "scan", "default:t:")
	bound.want("+OK\r\n", "MULTI")
	bound.want("-"+notInMulti+"\r\n", "advscan", "t:", "KV")
	bound.want("-"+execAbort+"\r\n", "EXEC")
}

// TestKeysConcat: KEYS is all partitions' keys, and the error of one is the command's.
func TestKeysConcat(t *testing.T) {
	cl := newCluster(t, 3, func(o *Options) { o.RetryFor = 50 * time.Millisecond }, oneNamespace(5))
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.want("*0\r\n", "KEYS", "*")
	var want []string
	for i := range 60 {
		key := fmt.Sprint("key", i, strings.Repeat("x", 3000)) // several partitions' parts are long
		c.want("+OK\r\n", "SET", key, "v")
		want = append(want, key)
	}
	c.send(encode("SET", "last", "v") + encode("KEYS", "*x") + encode("GET", "last"))
	c.reply()
	found := texts(c.reply())
	if got := c.reply(); got != "$1\r\nv\r\n" {
		t.Errorf("the reply behind: %q", got)
	}
	slices.Sort(want)
	if slices.Sort(found); !slices.Equal(found, want) {
		t.Errorf("%d keys, want %d", len(found), len(want))
	}
	cl.parts["default"][2].leader.Store(0)
	c.want("-"+noLeader+"\r\n", "KEYS", "*")
}

func FuzzTableCursor(f *testing.F) {
	f.Add("MDpZUT09Ow==", 4, true)
	f.Add(base64.StdEncoding.EncodeToString([]byte("0:YQ==;3:YWI=;")), 4, false)
	f.Fuzz(func(t *testing.T, text string, partitions int, full bool) {
		at, ok := parseTableCursor([]byte(text), partitions, full)
		if !ok {
			return
		}
		if len(at) == 0 || len(at) > partitions {
			t.Fatalf("%q: %d places of %d partitions", text, len(at), partitions)
		}
		again, ok := parseTableCursor(appendTableCursor(nil, at, full), partitions, full)
		if !ok || len(again) != len(at) {
			t.Fatalf("%q: %v, written and read %v", text, at, again)
		}
		for i := range at {
			if at[i].partition != again[i].partition || !bytes.Equal(at[i].text, again[i].text) {
				t.Fatalf("%q: %v, written and read %v", text, at, again)
			}
		}
	})
}
