package feeds

import (
	"encoding/json"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// Object is a changefeed as `--json` shows it.
type Object struct {
	ID    string           `json:"id"`
	State changefeed.State `json:"state"`
	// Trouble is what weighs most of all partitions'.
	Trouble    *changefeed.Trouble `json:"trouble,omitempty"`
	Spec       changefeed.Spec     `json:"spec"`
	Totals     Totals              `json:"totals"`
	Partitions []Standing          `json:"partitions"`
}

// ObjectOf makes one.
func ObjectOf(s *Status, now time.Time) Object {
	all := Standings(s, now)
	return Object{ID: s.Spec.ID, State: State(s, all), Trouble: worst(all), Spec: s.Spec, Totals: Total(all), Partitions: all}
}

// MarshalJSON is one object: how the partition stands, its owner, and, if it was begun, its checkpoint and figures.
func (s Standing) MarshalJSON() ([]byte, error) {
	type checkpoint struct {
		Position event.Position     `json:"position"`
		Chain    event.Chain        `json:"chain"`
		Time     int64              `json:"time"`
		Forced   bool               `json:"forced,omitempty"`
		Epoch    uint64             `json:"epoch"`
		Updated  int64              `json:"updated"`
		Figures  changefeed.Figures `json:"figures"`
	}
	o := struct {
		Partition uint32              `json:"partition"`
		State     changefeed.State    `json:"state"`
		Trouble   *changefeed.Trouble `json:"trouble,omitempty"`
		Owner     string              `json:"owner,omitempty"`
		*checkpoint
	}{Partition: s.Partition, State: s.State, Trouble: s.Trouble, Owner: s.Owner}
	if p := &s.Progress; s.Begun {
		o.checkpoint = &checkpoint{p.Position, p.Chain, p.Time, p.Forced, p.Epoch, p.Updated, p.Figures}
	}
	return json.Marshal(o)
}

// JSON writes a value, indented, and with the signs that stand in addresses as they are.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// JSONLine is JSON on one line.
func JSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
