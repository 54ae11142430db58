package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/peers/peerstest"
	"github.com/zankv/zankv/conflict"
)

// result is what a command printed and ended with.
type result struct {
	code           int
	stdout, stderr string
}

// command runs zankv-repair with words that are separated by spaces, then further arguments.
func command(t *testing.T, words string, more ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args := append(append([]string{"zankv-repair"}, strings.Fields(words)...), more...)
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// must is a command that succeeds, and says nothing on standard error.
func must(t *testing.T, words string, more ...string) string {
	t.Helper()
	r := command(t, words, more...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%s %q: exit %d: %s", words, more, r.code, r.stderr)
	}
	return r.stdout
}

func side(value string, at int64, cluster string) conflict.Side {
	return conflict.Side{Version: conflict.Version{Time: at, Cluster: cluster}, Exists: true, Type: event.TypeString, Value: []byte(value), Size: uint64(len(value))}
}

const second = 1e9

// overwritten is a string that was lost.
func overwritten(n int, key, old, later string) conflict.Record {
	rec := conflict.Record{
		Register: conflict.RegisterKey, Action: conflict.Overwrite, Reason: conflict.Later, Rule: conflict.RuleTimestamp, Op: event.OpSet, Key: []byte(key), Command: "set",
		Here: side(old, int64(n)*second, "dc-b"), There: side(later, int64(n+1)*second, "dc-a"),
		Source: conflict.Place{Cluster: "dc-a", Partition: 3, Position: event.Position{Term: 2, Index: 40}}, DecidedAt: int64(n+2) * second,
	}
	rec.There.Place = rec.Source
	copy(rec.ID[:], fmt.Sprintf("%016d", n))
	return rec
}

func apart(n int, key string) conflict.Diverged {
	d := conflict.Diverged{
		Key: []byte(key), Source: "dc-a", Type: event.TypeSet, Reason: conflict.NotPrev, Count: 2, FirstAt: second, LastAt: 3 * second,
		First: conflict.Place{Cluster: "dc-a", Position: event.Position{Term: 2, Index: 7}}, Last: conflict.Place{Cluster: "dc-a", Position: event.Position{Term: 2, Index: 9}},
		Latest: conflict.Version{Time: 2 * second, Cluster: "dc-a"},
	}
	copy(d.ID[:], fmt.Sprintf("d%015d", n))
	return d
}

func world(t *testing.T) (c *peerstest.Cluster, at string) {
	c = peerstest.New(t, 2, 2)
	c.Add(0, overwritten(1, "users:1", "old", "new"), overwritten(2, "orders:1", "a", "b"))
	c.Add(1, overwritten(3, "users:2", "\xff", "new"))
	c.AddDiverged(1, apart(1, "tags"))
	return c, " --cluster " + strings.Join(c.Addresses, ",")
}

func TestList(t *testing.T) {
	_, at := world(t)
	got := must(t, "conflicts list"+at)
	want := `ID            KEY       REGISTER  DECIDED               ACTION     REASON  HERE         THERE  SOURCE
303030303030  users:1   key       1970-01-01T00:00:03Z  overwrite  later   old          new    dc-a/3 2-40
303030303030  orders:1  key       1970-01-01T00:00:04Z  overwrite  later   a            b      dc-a/3 2-40
303030303030  users:2   key       1970-01-01T00:00:05Z  overwrite  later   base64:/w==  new    dc-a/3 2-40
3 conflicts in namespace default of cluster dc-b
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := must(t, "conflicts list --diverged"+at); !strings.Contains(got, "tags  set   not-prev       2  1970-01-01T00:00:01Z  1970-01-01T00:00:03Z  dc-a/0 2-9") ||
		!strings.Contains(got, "1 diverged key in") {
		t.Error(got)
	}
	for filter, want := range map[string][]string{
		"--table users": {"users:1", "users:2"}, "--key *:1": {"users:1", "orders:1"}, "--since 1970-01-01T00:00:04Z": {"orders:1", "users:2"}, "--until 1970-01-01T00:00:04Z": {"users:1", "orders:1"},
		"--reason older": {}, "--reason later,older --partition 1": {"users:2"}, "--source dc-c": {}, "--source dc-a --limit 2": {"users:1", "orders:1"}, "--since 24h": {},
	} {
		var keys []string
		for line := range strings.Lines(must(t, "conflicts list --json "+filter+at)) {
			var row struct {
				Kind, Namespace, Key, Enc string
				Partition                 int
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil || row.Kind != "conflict" || row.Namespace != "default" {
				t.Fatalf("%v: %s", err, line)
			}
			if row.Enc == "base64" {
				row.Key = "users:2"
			}
			keys = append(keys, row.Key)
		}
		if strings.Join(keys, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", filter, keys, want)
		}
	}
}

func TestShow(t *testing.T) {
	_, at := world(t)
	rec := overwritten(1, "users:1", "old", "new")
	got := must(t, "conflicts show "+rec.ID.String()+at)
	want := `conflict    30303030303030303030303030303031
key         users:1
register    key
partition   default-0 of dc-b
decided     1970-01-01T00:00:03Z, by the timestamp rule: overwrite (later)
came        as set by set, from dc-a/3 2-40, group 0
here, stored in dc-b
  version   1000000000@dc-b (1970-01-01T00:00:01Z)
  position  not kept; tail --key finds it by the time, while the log has it
  has       old
there, made in dc-a
  version   2000000000@dc-a (1970-01-01T00:00:02Z)
  position  dc-a/3 2-40
  has       new
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d := apart(1, "tags")
	if got := must(t, "conflicts show"+at+" --json "+d.ID.String()[:8]); !strings.HasPrefix(got, `{"kind":"diverged","namespace":"default","partition":1,"id":"`+d.ID.String()+`"`) {
		t.Error(got)
	}
	if got := must(t, "conflicts show "+d.ID.String()[:8]+at); !strings.Contains(got, "2 events held something back") {
		t.Error(got)
	}
	if r := command(t, "conflicts show 303030"+at); r.code != 2 || !strings.Contains(r.stderr, "several") {
		t.Errorf("%+v", r)
	}
	if r := command(t, "conflicts show abcdef --json"+at); r.code != 4 || !strings.Contains(r.stderr, `"code":"not-found"`) {
		t.Errorf("%+v", r)
	}
}

func TestPurge(t *testing.T) {
	c, at := world(t)
	if got := must(t, "conflicts purge --table users --dry-run"+at); got != "would remove 2 rows of the conflict log of cluster dc-b\n" || c.Rows() != 4 {
		t.Error(got, c.Rows())
	}
	if r := command(t, "conflicts purge --table users"+at); r.code != 2 || !strings.Contains(r.stderr, "Remove 2 rows") || c.Rows() != 4 {
		t.Errorf("unconfirmed: %+v, %d", r, c.Rows())
	}
	if got := must(t, "conflicts purge --table users --no-confirm --json"+at); got != `{"removed":2}`+"\n" || c.Rows() != 2 {
		t.Error(got, c.Rows())
	}
	id := overwritten(2, "", "", "")
	if got := must(t, "conflicts purge --no-confirm "+id.ID.String()+at); got != "removed 1 row\n" || c.Rows() != 1 {
		t.Error(got, c.Rows())
	}
	if got := must(t, "conflicts purge --all --no-confirm"+at); got != "removed 0 rows\n" || c.Rows() != 1 {
		t.Error(got, c.Rows())
	}
	if got := must(t, "conflicts purge --all --diverged --no-confirm"+at); got != "removed 1 row\n" || c.Rows() != 0 {
		t.Error(got, c.Rows())
	}
}

// A log of more rows than are removed at once is emptied.
func TestPurgeMany(t *testing.T) {
	c := peerstest.New(t, 1, 1)
	for i := range 2500 {
		c.Add(0, overwritten(i, fmt.Sprintf("k%d", i), "a", "b"))
	}
	if got := must(t, "conflicts purge --all --no-confirm --cluster "+c.Addresses[0]); got != "removed 2500 rows\n" || c.Rows() != 0 {
		t.Error(got, c.Rows())
	}
}

func TestMisuse(t *testing.T) {
	for words, want := range map[string]string{
		"nonsense":                                      `no command "nonsense"`,
		"conflicts list":                                "--cluster is missing",
		"conflicts list x --cluster h:1":                "Everything is given by options",
		"conflicts list --cluster h:1 --since soon":     "is no time",
		"conflicts list --cluster h:1 --reason bad":     "is none of",
		"conflicts list --cluster h:1 --table ,":        "names nothing",
		"conflicts list --cluster h:1 --limit -1":       "from 0 on",
		"conflicts show --cluster h:1":                  "which one",
		"conflicts show xyz --cluster h:1":              "is no id",
		"conflicts apply --cluster h:1":                 "name one id",
		"conflicts apply abcdef --cluster h:1":          "want here or there",
		"conflicts purge --cluster h:1":                 "which rows",
		"conflicts purge --cluster h:1 --diverged":      "which rows",
		"conflicts purge abcdef --cluster h:1 --all":    "not by both",
		"conflicts purge abcdef --cluster h:1 --key x*": "not by both",
		"switchover --from h:1":                         "--to is missing",
		"switchover --to h:1":                           "--from is missing",
		"switchover --from h:1 --to h:2 now":            "Everything is given by options",
		"switchover --from h:1 --to h:2 --namespace ,":  "names nothing",
		"failover":                         "--to is missing",
		"failover --to h:1 --from-nodes ,": "--from-nodes is missing",
	} {
		if r := command(t, words); r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: want %q: %+v", words, want, r)
		}
	}
	if r := command(t, "conflicts list --cluster 127.0.0.1:1"); r.code != 5 || !strings.Contains(r.stderr, "127.0.0.1:1") {
		t.Errorf("nobody: %+v", r)
	}
	_, at := world(t)
	if r := command(t, "conflicts list --partition 7"+at); r.code != 2 || !strings.Contains(r.stderr, "has 2") {
		t.Errorf("no such partition: %+v", r)
	}
	if r := command(t, "conflicts list --namespace other"+at); r.code != 4 {
		t.Errorf("no such namespace: %+v", r)
	}
}

// Every command explains itself, with examples.
func TestHelp(t *testing.T) {
	app := newApp(os.Stdin, &bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range app.Commands {
		for _, words := range append([]string{c.Name}, under(c.Name, app)...) {
			if got := must(t, words+" --help"); !strings.Contains(got, "USAGE") || strings.Contains(words, " ") && !strings.Contains(got, "Example") {
				t.Errorf("%s: %s", words, got)
			}
		}
	}
	if got := must(t, "--help"); !strings.Contains(got, "Exit codes") {
		t.Error(got)
	}
}

func under(name string, app *cli.App) (all []string) {
	for _, c := range app.Command(name).Subcommands {
		all = append(all, name+" "+c.Name)
	}
	return all
}
