package table

import (
	"strings"
	"testing"
)

func TestColumns(t *testing.T) {
	tb := New("ID", ">LAG", "STATE")
	tb.Row("orders", "12", "normal")
	tb.Row("größe", "3", "failed")
	tb.Row("a\x1b[31m\nb\u009b", "1234567", "")
	var b strings.Builder
	if _, err := tb.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := `ID             LAG  STATE
orders          12  normal
größe            3  failed
a [31m b   1234567
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(int64(0)), "0 B"}, {Bytes(uint64(1023)), "1023 B"}, {Bytes(1536.0), "1.5 KiB"}, {Bytes(int64(200 << 20)), "200 MiB"},
		{Bytes(int64(3 << 40)), "3 TiB"}, {Bytes(int64(5000 << 40)), "5000 TiB"}, {Bytes(0.4), "0 B"},
		{Rate(0), "0"}, {Rate(1.25), "1.2"}, {Rate(4811.7), "4812"},
		{Seconds(0), "0 s"}, {Seconds(0.34), "0.3 s"}, {Seconds(59.2), "59.2 s"}, {Seconds(60), "1 min"}, {Seconds(245), "4 min 5 s"},
		{Seconds(12000), "3 h 20 min"}, {Seconds(187200), "2 d 4 h"}, {Seconds(-1), None}, {Seconds(1e11), "1157407 d 9 h"},
		{Count(1, "entry"), "1 entry"}, {Count(uint64(2), "entry"), "2 entries"}, {Count(uint32(0), "time"), "0 times"},
		{Time(0), None}, {Time(1795255200123456789), "2026-11-21T10:00:00Z"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
