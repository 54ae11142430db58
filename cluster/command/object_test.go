package command_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

// TestObjectEncoding: what Redis 7.2, with its default settings, makes of values that it loads.
func TestObjectEncoding(t *testing.T) {
	many := func(command string, n int, each string) string {
		var line strings.Builder
		line.WriteString(command)
		for i := range n {
			fmt.Fprintf(&line, each, i)
		}
		return line.String()
	}
	for line, want := range map[string]string{
		"set k 12":                    "int",
		"set k 012":                   "embstr",
		"set k \"x\"*44":              "embstr",
		"set k \"x\"*45":              "raw",
		"setbit k 100000 1":           "raw",
		"hset k f v":                  "listpack",
		"hset k f \"x\"*65":           "hashtable",
		many("hset k", 128, " f%d v"): "listpack",
		many("hset k", 129, " f%d v"): "hashtable",
		many("sadd k", 512, " %d"):    "intset",
		many("sadd k", 513, " %d"):    "hashtable",
		many("sadd k", 128, " m%d"):   "listpack",
		many("sadd k", 129, " m%d"):   "hashtable",
		many("zadd k", 128, " 1 m%d"): "listpack",
		many("zadd k", 129, " 1 m%d"): "skiplist",
		"zadd k 1 \"x\"*65":           "skiplist",
		"rpush k a b":                 "listpack",
		"rpush k \"x\"*9000":          "quicklist",
	} {
		e := commandtest.NewExecutor(func() int64 { return 1000 }, func(problem string) { t.Error(problem) })
		if r := e.Do(commandtest.Words(line)...); r[0] == '-' {
			t.Fatalf("%.60s: %s", line, r)
		}
		if got := e.Do(commandtest.Words("object encoding k")...); string(got) != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
			t.Errorf("%.60s: %q, want %s", line, got, want)
		}
	}
}
