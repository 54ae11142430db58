package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/replay/syncer"
)

// Mistakes are found before anybody is asked.
func TestSyncMisuse(t *testing.T) {
	const ends = " --source 127.0.0.1:1 --target 127.0.0.1:2"
	file := filepath.Join(t.TempDir(), "sync.json")
	for _, c := range []struct{ words, file, stderr string }{
		{"", "", "--source is missing"},
		{" --source 127.0.0.1:1", "", "--target is missing"},
		{" --source , --target b:1", "", "--source: names nothing"},
		{" --source a --target b:1", "", `"a": want HOST:PORT`},
		{" --source :1 --target b:1", "", `":1": want HOST:PORT`},
		{ends + " more", "", "Everything is given by options"},
		{ends + " --bandwidth fast", "", "want a number of bytes"},
		{ends + " --compression rar", "", "want zstd or none"},
		{ends + " --memory 1KiB", "", "want at least 8388608 bytes"},
		{ends + " --http nowhere:http:x", "", "--http"},
		{" --config FILE", `{"sources": "a:1"}`, `unknown field "sources"; the keys are source`},
		{" --config FILE", `{"source": 5}`, "want a text, or a list of texts"},
		{" --config FILE", `{"source": "a:1"} {}`, "something stands behind"},
		{" --config FILE", `{"source": "a:1"}`, "--target is missing"},
		{" --config FILE", `{`, "unexpected EOF"},
		{" --config none.json", "", "no such file"},
	} {
		if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := command(t, strings.ReplaceAll("sync"+c.words, "FILE", file)); r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("%s %s: want %q: %+v", c.words, c.file, c.stderr, r)
		}
	}
}

// Every key of the file is an option's name, and named where a wrong one is refused.
func TestSyncKeys(t *testing.T) {
	known := map[string]bool{}
	for _, f := range syncCommand().Flags {
		known[f.Names()[0]] = true
	}
	file := filepath.Join(t.TempDir(), "sync.json")
	if err := os.WriteFile(file, []byte(`{"none":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := (&settings{}).read(file).Error()
	for f := range reflect.TypeFor[settings]().Fields() {
		key := f.Tag.Get("json")
		if !known[key] {
			t.Errorf("there is no --%s", key)
		}
		if !strings.Contains(refused, " "+key) {
			t.Errorf("%q doesn't name %s", refused, key)
		}
	}
}

func TestSyncSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sync.json")
	text := `{"source": ["a:1", "a:2"], "target": "b:1, b:2", "namespace": "x,y", "bandwidth": "1MiB", "memory": "16MiB", "compression": "none", "http": ":1", "redefine": true}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &settings{}
	if err := s.read(file); err != nil {
		t.Fatal(err)
	}
	want := settings{Source: names{"a:1", "a:2"}, Target: names{"b:1", "b:2"}, Namespace: names{"x", "y"}, Bandwidth: "1MiB", Memory: "16MiB", Compression: "none", HTTP: ":1", Redefine: true}
	if !reflect.DeepEqual(*s, want) {
		t.Fatalf("got %+v", *s)
	}
}

func TestSyncLine(t *testing.T) {
	for want, p := range map[string]syncer.Progress{
		"no partition is carried here at the moment":                                                          {},
		"4 partitions: in step; 120 events/s, 3 MiB/s":                                                        {Partitions: 4, EventsPerSecond: 120, BytesPerSecond: 3 << 20},
		"1 partition: 12 s behind, 700 entries, 70 KiB, caught up in 4 s; 0 events/s, 0 B/s; sink: sink-slow": {Partitions: 1, LagSeconds: 12, LagEntries: 700, LagBytes: 70 << 10, ETASeconds: 4, Trouble: &changefeed.Trouble{Stage: changefeed.StageSink, Code: changefeed.CodeSinkSlow}},
		"4 partitions: full sync of 2, 10 MiB so far, 5 MiB/s, done in 1 min; 0 events/s, 0 B/s":              {Partitions: 4, Syncing: 2, FullBytes: 10 << 20, FullPerSecond: 5 << 20, FullETASeconds: 60},
	} {
		if got := syncLine(p); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// The example of a file is one.
func TestSyncExample(t *testing.T) {
	s := &settings{}
	if err := s.read("../../deployments/examples/sync.json"); err != nil {
		t.Fatal(err)
	}
	if len(s.Source) != 3 || len(s.Target) != 3 || !reflect.DeepEqual(s.Namespace, names{"all"}) {
		t.Errorf("%+v", s)
	}
}
