package replay

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

func TestParseURI(t *testing.T) {
	usual := Config{Nodes: []string{"h:1"}, Zstd: true, RangeBytes: 1 << 20, Idle: 10 * time.Second}
	with := func(change func(*Config)) Config {
		c := usual
		change(&c)
		return c
	}
	for uri, want := range map[string]Config{
		"zankv://h:1":                                    usual,
		"zankv://h:1/":                                   usual,
		"zankv://h:1,[::1]:2,h:1":                        with(func(c *Config) { c.Nodes = []string{"h:1", "[::1]:2"} }),
		"zankv://h:1?namespace=other":                    with(func(c *Config) { c.Namespace = "other" }),
		"zankv://h:1?bandwidth=50MiB&idle=1m":            with(func(c *Config) { c.Bandwidth, c.Idle = 50<<20, time.Minute }),
		"zankv://h:1?compression=none&range-bytes=64KiB": with(func(c *Config) { c.Zstd, c.RangeBytes = false, 64<<10 }),
		"zankv://h:1?range-bytes=8388608":                with(func(c *Config) { c.RangeBytes = 8 << 20 }),
	} {
		got, err := ParseURI(uri)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for uri, says := range map[string]string{
		"kafka://h:1":                      "want zankv://",
		"zankv://":                         "want host:port",
		"zankv://h":                        "want host:port",
		"zankv://:1":                       "want host:port",
		"zankv://h:0":                      "want 1 to 65535",
		"zankv://h:1,":                     "want host:port",
		"zankv://u:secret@h:1":             "a user before its hosts",
		"zankv://h:1/ns":                   "?namespace=NAME",
		"zankv://h:1?password=x":           "no user or password",
		"zankv://h:1?namespace=":           "want a name",
		"zankv://h:1?bandwidth=-1":         "want a number of bytes",
		"zankv://h:1?bandwidth=9999GiB":    "want a number of bytes",
		"zankv://h:1?range-bytes=1":        "from 65536",
		"zankv://h:1?range-bytes=9MiB":     "from 65536",
		"zankv://h:1?compression=lz4":      "zstd or none",
		"zankv://h:1?idle=1ms":             "from 1s",
		"zankv://h:1?idle=1s&idle=2s":      "given 2 times",
		"zankv://h:1?what=1":               "want one of namespace",
		"zankv://h:1?namespace=a#fragment": "%23",
		"zankv://h:1?namespace=%zz":        "options",
	} {
		_, err := ParseURI(uri)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", uri, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is told: %v", uri, err)
		}
	}
}

func TestCheck(t *testing.T) {
	spec := changefeed.Spec{ID: "f", Namespace: "ns", SinkURI: "zankv://h:1"}
	if err := Check(&spec); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*changefeed.Spec){
		func(s *changefeed.Spec) { s.SinkURI = "zankv://h" }, func(s *changefeed.Spec) { s.Filter.Keys = []string{"a*"} },
		func(s *changefeed.Spec) { s.Archive = "file:///a" }, func(s *changefeed.Spec) { s.To = "2-9" },
	} {
		bad := spec
		change(&bad)
		e, ok := Check(&bad).(*changefeed.Error)
		if !ok || e.Code != changefeed.CodeSinkConfig || !e.Final || e.Action == "" {
			t.Errorf("%+v: %v", bad, e)
		}
	}
}
