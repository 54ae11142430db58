package resp

import (
	"fmt"
	"strings"
	"testing"
)

// TestNumericCursors: on ports where clients are Redis's, scans of elements have numbers; where keys come with their namespace, texts.
func TestNumericCursors(t *testing.T) {
	cl := newCluster(t, 2, nil, oneNamespace(4))
	shared := dial(t, cl.nodes[0].addr[SharedPort])
	shared.want("+OK\r\n", "SET", "default:t:h", "abcdefg")
	page := func(fields string) string {
		r := fmt.Sprintf("*%d\r\n", 2*len(fields))
		for _, f := range fields {
			r += "$1\r\n" + string(f) + "\r\n$1\r\nv\r\n"
		}
		return r
	}
	shared.want("*2\r\n$1\r\nc\r\n"+page("abc"), "HSCAN", "default:t:h", "", "COUNT", "3")
	shared.want("*2\r\n$1\r\nf\r\n"+page("def"), "HSCAN", "default:t:h", "c", "COUNT", "3")
	bound := dial(t, cl.nodes[1].addr[NamespacePort])
	found, cursor := "", "0"
	for n := 0; ; n++ {
		all := texts(bound.do("HSCAN", "t:h", cursor, "COUNT", "3"))
		for i := 1; i < len(all); i += 2 {
			found += all[i]
		}
		if n == 1 { // a cursor may be used again
			if again := texts(bound.do("HSCAN", "t:h", cursor, "COUNT", "3")); strings.Join(again[1:], "") != strings.Join(all[1:], "") {
				t.Errorf("again: %q, before %q", again, all)
			}
		}
		if cursor = all[0]; cursor == "0" {
			break
		}
		if strings.Trim(cursor, "0123456789") != "" {
			t.Fatalf("cursor %q", cursor)
		}
	}
	if found != "abcdefg" {
		t.Errorf("found %q", found)
	}
	cursor = texts(bound.do("HSCAN", "t:h", "0", "COUNT", "3"))[0]
	unknown := func(cursor string) string {
		return fmt.Sprintf("-ERR unknown cursor %s: it was dropped, or another node gave it; begin again with 0\r\n", cursor)
	}
	bound.want(unknown(cursor), "HSCAN", "t:other", cursor)
	bound.want(unknown(cursor), "SCAN", cursor)
	bound.want(unknown("12345"), "HSCAN", "t:h", "12345")
	bound.want("-ERR invalid cursor\r\n", "HSCAN", "t:h", "x")
	bound.want("-ERR syntax error\r\n", "HSCAN", "t:h", "0", "COUNT", "0")
	bound.want("+OK\r\n", "MULTI")
	bound.want("+QUEUED\r\n", "HSCAN", "t:h", cursor, "COUNT", "100")
	bound.want("+QUEUED\r\n", "HSCAN", "t:h", "77")
	bound.want("*2\r\n*2\r\n$1\r\n0\r\n"+page("defg")+unknown("77"), "EXEC")
}

// TestCursorsOfOneConnection: a connection that begins scans and never ends them drops its own cursors, nobody else's.
func TestCursorsOfOneConnection(t *testing.T) {
	cl := newCluster(t, 1, func(o *Options) { o.MaxCursors = 64 * 20 }, oneNamespace(1))
	one, other := dial(t, cl.nodes[0].addr[NamespacePort]), dial(t, cl.nodes[0].addr[NamespacePort])
	one.want("+OK\r\n", "SET", "h", "abcdefg")
	kept := texts(other.do("HSCAN", "h", "0", "COUNT", "3"))[0]
	first := texts(one.do("HSCAN", "h", "0", "COUNT", "3"))[0]
	for range 2000 {
		one.do("HSCAN", "h", "0", "COUNT", "1")
	}
	if n := cl.nodes[0].srv.cursors.len(); n != 21 {
		t.Errorf("%d cursors are remembered, want 20 of one connection and 1 of the other", n)
	}
	if all := texts(other.do("HSCAN", "h", kept, "COUNT", "100")); all[0] != "0" {
		t.Errorf("the other's scan: %q", all)
	}
	if reply := one.do("HSCAN", "h", first); !strings.HasPrefix(reply, "-ERR unknown cursor") {
		t.Errorf("the first of too many: %q", reply)
	}
}
