// Package conflictlog shows rows of the conflict log to people and to scripts: what `zankv-repair conflicts` prints.
package conflictlog

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/conflict"
)

// JSON writes a row as one line: the record's own JSON form, after kind, namespace and partition.
func JSON(w io.Writer, r *peers.Row) error {
	kind, v := "conflict", any(r.Record)
	if r.Diverged != nil {
		kind, v = "diverged", r.Diverged
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "{\"kind\":%q,\"namespace\":%q,\"partition\":%d,%s\n", kind, r.Namespace, r.Partition, b[1:])
	return err
}

// Table writes rows of one kind.
func Table(w io.Writer, rows []*peers.Row, diverged bool) error {
	t := table.New("ID", "KEY", "REGISTER", "DECIDED", "ACTION", "REASON", "HERE", "THERE", "SOURCE")
	if diverged {
		t = table.New("ID", "KEY", "TYPE", "REASON", ">EVENTS", "FIRST", "LAST", "SOURCE")
	}
	for _, r := range rows {
		id := r.ID().String()[:shortID]
		if d := r.Diverged; d != nil {
			t.Row(id, short(d.Key), d.Type.String(), d.Reason.String(), strconv.FormatUint(d.Count, 10), table.Time(d.FirstAt), table.Time(d.LastAt), place(&d.Last))
		} else if rec := r.Record; rec != nil {
			t.Row(id, short(rec.Key), register(rec, short), table.Time(rec.DecidedAt), rec.Action.String(), rec.Reason.String(),
				brief(&rec.Here, rec), brief(&rec.There, rec), place(&rec.Source))
		}
	}
	_, err := t.WriteTo(w)
	return err
}

const (
	// shortID is how much of an id a table shows.
	shortID = 12
	// mostBytes is how much of a key or value a table shows.
	mostBytes = 32
)

func short(b []byte) string {
	s := text(b)
	if utf8.RuneCountInString(s) > mostBytes {
		return string([]rune(s)[:mostBytes]) + "…"
	}
	return s
}

// text is what people read: as it is where that is one plain line, quoted where it isn't, base64 where it isn't text.
func text(b []byte) string {
	switch {
	case !utf8.Valid(b):
		return "base64:" + base64.StdEncoding.EncodeToString(b)
	case strconv.Quote(string(b)) != `"`+string(b)+`"` || len(b) == 0:
		return strconv.Quote(string(b))
	}
	return string(b)
}

func register(rec *conflict.Record, show func([]byte) string) string {
	if rec.Register == conflict.RegisterElement {
		return element(rec.There.Type) + " " + show(rec.Sub)
	}
	return rec.Register.String()
}

func element(t event.Type) string {
	switch t {
	case event.TypeHash:
		return "field"
	case event.TypeBitmap:
		return "segment"
	}
	return "member"
}

func brief(s *conflict.Side, rec *conflict.Record) string {
	if rec.Register != conflict.RegisterExpiry && s.Exists && len(s.Digest) == 0 && s.Count == 0 && s.Type != event.TypeZSet && s.Type != event.TypeSet {
		return short(s.Value)
	}
	return summary(s, rec)
}

// summary says in a few words what a side has, apart from a plain value.
func summary(s *conflict.Side, rec *conflict.Record) string {
	switch {
	case rec.Register == conflict.RegisterExpiry && s.ExpireAt == 0:
		return "no expiry"
	case rec.Register == conflict.RegisterExpiry:
		return moment(s.ExpireAt)
	case !s.Exists:
		return "absent"
	case s.Count > 0:
		return fmt.Sprintf("%s of %d", s.Type, s.Count)
	case len(s.Digest) > 0:
		return table.Bytes(s.Size)
	case s.Type == event.TypeZSet:
		return "score " + strconv.FormatFloat(s.Score, 'g', -1, 64)
	case s.Type == event.TypeSet:
		return "present"
	}
	return text(s.Value)
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func place(p *conflict.Place) string {
	return fmt.Sprintf("%s/%d %s", p.Cluster, p.Partition, p.Position)
}

// Show writes all there is of a row. cluster is the one that it was read in.
func Show(w io.Writer, r *peers.Row, cluster string) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, table.Plain(fmt.Sprintf(format, args...)))
	}
	if d := r.Diverged; d != nil {
		line("diverged", "%s", d.ID)
		line("key", "%s", text(d.Key))
		line("partition", "%s-%d of %s", r.Namespace, r.Partition, cluster)
		line("type", "%s", d.Type)
		line("source", "%s", d.Source)
		line("reason", "%s", d.Reason)
		line("first", "%s, at %s", table.Time(d.FirstAt), place(&d.First))
		line("last", "%s, at %s", table.Time(d.LastAt), place(&d.Last))
		line("count", "%s held something back", table.Count(d.Count, "event"))
		line("latest", "%s (%s)", d.Latest, table.Time(d.Latest.Time))
	} else {
		showRecord(&b, line, r, cluster)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func showRecord(b *strings.Builder, line func(name, format string, args ...any), r *peers.Row, cluster string) {
	rec := r.Record
	line("conflict", "%s", rec.ID)
	line("key", "%s", text(rec.Key))
	line("register", "%s", register(rec, text))
	line("partition", "%s-%d of %s", r.Namespace, r.Partition, cluster)
	line("decided", "%s, by the %s rule: %s (%s)", table.Time(rec.DecidedAt), rec.Rule, rec.Action, rec.Reason)
	command := ""
	if rec.Command != "" {
		command = " by " + rec.Command
	}
	line("came", "as %s%s, from %s, group %d", rec.Op, command, place(&rec.Source), rec.Group)
	if rec.Removed > 0 {
		line("removed", "%s went with it", table.Count(rec.Removed, "older element"))
	}
	fmt.Fprintf(b, "here, stored in %s\n", table.Plain(cluster))
	showSide(line, &rec.Here, rec)
	fmt.Fprintf(b, "there, made in %s\n", table.Plain(rec.There.Place.Cluster))
	showSide(line, &rec.There, rec)
}

func showSide(line func(name, format string, args ...any), s *conflict.Side, rec *conflict.Record) {
	if s.Version == (conflict.Version{}) {
		line("  version", "none: it was never written, or is forgotten")
	} else {
		line("  version", "%s (%s)", s.Version, table.Time(s.Version.Time))
	}
	if s.Place != (conflict.Place{}) {
		line("  position", "%s", place(&s.Place))
	} else {
		line("  position", "not kept; tail --key finds it by the time, while the log has it")
	}
	line("  has", "%s", summary(s, rec))
	if len(s.Digest) > 0 {
		line("  content", "%d bytes, more than is kept; SHA-256 %x", s.Size, s.Digest)
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		line("  element", "%s", part(p, s.Type))
	}
	if s.Count > 0 && len(s.Parts) == 0 && len(s.Digest) == 0 {
		line("  elements", "weren't read")
	}
	if rec.Register == conflict.RegisterKey && s.ExpireAt != 0 {
		line("  expires", "%s", moment(s.ExpireAt))
	}
}

func part(p *conflict.Part, t event.Type) string {
	s := text(p.Sub)
	switch t {
	case event.TypeHash:
		s += " = " + text(p.Value)
	case event.TypeZSet:
		s += " score " + strconv.FormatFloat(p.Score, 'g', -1, 64)
	case event.TypeList:
		s = text(p.Value)
	case event.TypeBitmap:
		s += " = " + base64.StdEncoding.EncodeToString(p.Value)
	}
	if p.Version != (conflict.Version{}) {
		s += "  (" + p.Version.String() + ")"
	}
	return s
}
