package conflict

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/zankv/zankv/cdc/event"
)

// The JSON form is for people and their tools; the rows' own form is drawn at codec.go. Versions, scores and positions are strings as in the feed,
// and "enc":"base64" says, as there, that key, subs and values are base64 because one of them isn't UTF-8. A side whose content was more than the
// limit has its digest in place of it; "count" without "elements" says that they weren't read.

type placeJSON struct {
	Cluster   string `json:"cluster"`
	Partition uint32 `json:"partition"`
	Position  string `json:"position"`
}

type partJSON struct {
	Element string `json:"element"`
	Value   string `json:"value,omitempty"`
	Score   string `json:"score,omitempty"`
	Version string `json:"version,omitempty"`
}

type sideJSON struct {
	Version  string     `json:"version"`
	Exists   bool       `json:"exists"`
	Type     string     `json:"type,omitempty"`
	Value    *string    `json:"value,omitempty"`
	Score    string     `json:"score,omitempty"`
	Elements []partJSON `json:"elements,omitempty"`
	Count    uint64     `json:"count,omitempty"`
	ExpireAt int64      `json:"expire_at,omitempty"`
	Size     uint64     `json:"size"`
	Digest   string     `json:"digest,omitempty"`
	Place    *placeJSON `json:"written_at,omitempty"`
}

type recordJSON struct {
	ID       string    `json:"id"`
	Encoding string    `json:"enc,omitempty"`
	Key      string    `json:"key"`
	Register string    `json:"register"`
	Element  *string   `json:"element,omitempty"`
	Op       string    `json:"op"`
	Action   string    `json:"action"`
	Reason   string    `json:"reason"`
	Rule     string    `json:"rule"`
	Here     sideJSON  `json:"here"`
	There    sideJSON  `json:"there"`
	Removed  uint64    `json:"removed,omitempty"`
	Source   placeJSON `json:"source"`
	Group    uint32    `json:"group"`
	Command  string    `json:"command,omitempty"`
	Decided  string    `json:"decided_at"`
}

// MarshalJSON gives the record's JSON form.
func (rec *Record) MarshalJSON() ([]byte, error) {
	show, encoding := rec.shower()
	out := recordJSON{
		ID: rec.ID.String(), Encoding: encoding, Key: show(rec.Key), Register: rec.Register.String(), Op: rec.Op.String(),
		Action: rec.Action.String(), Reason: rec.Reason.String(), Rule: rec.Rule.String(),
		Here: sideOf(&rec.Here, rec, show), There: sideOf(&rec.There, rec, show), Removed: rec.Removed,
		Source: *placeOfJSON(&rec.Source), Group: rec.Group, Command: rec.Command, Decided: instant(rec.DecidedAt),
	}
	if rec.Register == RegisterElement {
		sub := show(rec.Sub)
		out.Element = &sub
	}
	return json.Marshal(&out)
}

// shower tells how the record's bytes are shown.
func (rec *Record) shower() (show func([]byte) string, encoding string) {
	valid := utf8.Valid(rec.Key) && utf8.Valid(rec.Sub)
	for _, s := range [...]*Side{&rec.Here, &rec.There} {
		valid = valid && utf8.Valid(s.Value)
		for i := range s.Parts {
			valid = valid && utf8.Valid(s.Parts[i].Sub) && utf8.Valid(s.Parts[i].Value)
		}
	}
	return shown(valid)
}

func shown(valid bool) (show func([]byte) string, encoding string) {
	if valid {
		return func(b []byte) string { return string(b) }, ""
	}
	return base64.StdEncoding.EncodeToString, "base64"
}

func sideOf(s *Side, rec *Record, show func([]byte) string) sideJSON {
	out := sideJSON{Version: s.Version.String(), Exists: s.Exists, ExpireAt: s.ExpireAt, Size: s.Size, Count: s.Count, Digest: hex.EncodeToString(s.Digest)}
	if s.Type != 0 {
		out.Type = s.Type.String()
	}
	if s.Place != (Place{}) {
		out.Place = placeOfJSON(&s.Place)
	}
	out.Score = score(s, rec, s.Score)
	if s.Exists && len(s.Digest) == 0 && rec.Register != RegisterExpiry && s.Count == 0 && out.Score == "" {
		value := show(s.Value)
		out.Value = &value
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		part := partJSON{Element: show(p.Sub), Value: show(p.Value)}
		if s.Type == event.TypeZSet {
			part.Score = strconv.FormatFloat(p.Score, 'g', -1, 64)
		}
		if p.Version != (Version{}) {
			part.Version = p.Version.String()
		}
		out.Elements = append(out.Elements, part)
	}
	return out
}

// score is a sorted set member's.
func score(s *Side, rec *Record, v float64) string {
	if s.Type != event.TypeZSet || rec.Register != RegisterElement || !s.Exists {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func placeOfJSON(p *Place) *placeJSON {
	return &placeJSON{Cluster: p.Cluster, Partition: p.Partition, Position: p.Position.String()}
}

func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

type divergedJSON struct {
	ID       string    `json:"id"`
	Encoding string    `json:"enc,omitempty"`
	Key      string    `json:"key"`
	Type     string    `json:"type"`
	Source   string    `json:"source"`
	Reason   string    `json:"reason"`
	First    placeJSON `json:"first"`
	FirstAt  string    `json:"first_at"`
	Last     placeJSON `json:"last"`
	LastAt   string    `json:"last_at"`
	Count    uint64    `json:"count"`
	Latest   string    `json:"latest_version"`
}

// MarshalJSON gives the record's JSON form.
func (d *Diverged) MarshalJSON() ([]byte, error) {
	show, encoding := shown(utf8.Valid(d.Key))
	return json.Marshal(&divergedJSON{
		ID: d.ID.String(), Encoding: encoding, Key: show(d.Key), Type: d.Type.String(), Source: d.Source, Reason: d.Reason.String(),
		First: *placeOfJSON(&d.First), FirstAt: instant(d.FirstAt), Last: *placeOfJSON(&d.Last), LastAt: instant(d.LastAt),
		Count: d.Count, Latest: d.Latest.String(),
	})
}
