package switchover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	tables "github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// Report is what is known of a cluster that died, in the one that takes its place: what the dead one holds beyond it was never seen here.
type Report struct {
	Format int    `json:"format"` // reportFormat
	From   string `json:"from"`   // cluster ids
	To     string `json:"to"`
	At     string `json:"at"`
	// Until: all that was made in From up to then is in To.
	Until string `json:"until"`
	// Incomplete says that a full sync was under way.
	Incomplete bool `json:"incomplete,omitempty"`
	// Have is what To has of From's partitions, Own where To's own partitions were.
	Have []Have `json:"have"`
	Own  []Own  `json:"own"`
	// Opened are the positions from which on clients could write to To: by namespace, by partition. None before it was opened.
	Opened map[string][]string `json:"opened,omitempty"`
}

const reportFormat = 1

// Have is what To has of one of From's partitions.
type Have struct {
	Namespace string `json:"namespace"`
	Partition uint32 `json:"partition"`
	// From is the position up to which all partitions of To that share keys with it have it: what comes after it in From's log may be missing.
	From string `json:"from"`
	Time string `json:"time"`
	// Places are those of To's partitions.
	Places []Place `json:"places"`
}

// Place is how far one of To's partitions has what is its own of one of From's.
type Place struct {
	Partition uint32 `json:"partition"`
	Position  string `json:"position"`
	// Done is how many of the mutations of the event at the position are in; 4294967295: all.
	Done uint32 `json:"done"`
	Time string `json:"time"`
	// Base and Through are of a full sync that was under way: keys up to Through were as at Base.
	Base    string `json:"base,omitempty"`
	Through []byte `json:"through,omitempty"`
}

// Own is where one of To's partitions was.
type Own struct {
	Namespace string `json:"namespace"`
	Partition uint32 `json:"partition"`
	LastEvent string `json:"last_event"`
	Applied   string `json:"applied"`
}

// report asks To.
func (r *Run) report(ctx context.Context) (*Report, error) {
	report := &Report{Format: reportFormat, From: r.state.From.Cluster, To: r.state.To.Cluster, At: now()}
	least := int64(math.MaxInt64)
	for _, ns := range r.state.Namespaces {
		places, err := r.To.Places(ctx, ns)
		if err != nil {
			return nil, err
		}
		cut, err := cutOf(ctx, r.To, ns)
		if err != nil {
			return nil, err
		}
		least = min(least, report.add(ns, cut.Hash, places))
	}
	report.Until = tables.Time(least)
	return report, nil
}

// add takes up a namespace, by whose hash To's is cut, and says up to which time all of From is there.
func (report *Report) add(namespace, hash string, places []*replaypb.PlacesResponse) (least int64) {
	have := map[uint32]*having{}
	for n, p := range places {
		report.Own = append(report.Own, Own{namespace, uint32(n), position(p.LastEvent).String(), position(p.Applied).String()})
		for _, s := range p.Senders {
			if s.Sender.GetCluster() != report.From || s.Sender.GetNamespace() != namespace {
				continue
			}
			from := store.Cut{Hash: s.Sender.GetHash(), Partitions: s.Sender.GetPartitions()}
			if !from.Shares(s.Sender.GetPartition(), store.Cut{Hash: hash, Partitions: uint32(len(places))}, uint32(n)) {
				continue // nothing comes by it
			}
			h := have[s.Sender.GetPartition()]
			if h == nil {
				h = &having{at: position(s.Reached.GetPosition()), time: math.MaxInt64}
				have[s.Sender.GetPartition()] = h
			}
			report.Incomplete = report.Incomplete || s.Base != nil
			h.add(uint32(n), s)
		}
	}
	least = math.MaxInt64
	for _, number := range slices.Sorted(maps.Keys(have)) {
		h := have[number]
		least = min(least, h.time)
		report.Have = append(report.Have, Have{Namespace: namespace, Partition: number, From: h.at.String(), Time: tables.Time(h.time), Places: h.places})
	}
	return least
}

// having is what To has of one of From's partitions: at and time are where the partition of To is that has the least.
type having struct {
	at     event.Position
	time   int64
	places []Place
}

func (h *having) add(n uint32, s *replaypb.SenderPlace) {
	at := position(s.Reached.GetPosition())
	if at.Compare(h.at) < 0 {
		h.at = at
	}
	h.time = min(h.time, s.Time)
	place := Place{Partition: n, Position: at.String(), Done: s.Reached.GetDone(), Time: tables.Time(s.Time)}
	if s.Base != nil {
		place.Base, place.Through = position(s.Base).String(), s.Through
	}
	h.places = append(h.places, place)
}

// write writes path.json and path.txt.
func (report *Report) write(path string) error {
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(replaceFile(path+".json", append(b, '\n')), replaceFile(path+".txt", []byte(report.text())))
}

func (report *Report) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Failover from %s to %s, %s\n\n", report.From, report.To, report.At)
	fmt.Fprintf(&b, "%s has everything that was made in %s up to %s, and of each partition what stands in its log up to these positions:\n\n", report.To, report.From, report.Until)
	t := tables.New("PARTITION OF "+report.From, "UP TO", "TIME", "IN "+report.To)
	for _, h := range report.Have {
		var at []string
		for _, p := range h.Places {
			at = append(at, fmt.Sprintf("%s-%d: %s%s", h.Namespace, p.Partition, p.Position, part(&p)))
		}
		t.Row(fmt.Sprintf("%s-%d", h.Namespace, h.Partition), h.From, h.Time, strings.Join(at, ", "))
	}
	_, _ = t.WriteTo(&b) // memory
	fmt.Fprintf(&b, "\nThe partitions of %s itself were at, and clients could write there after:\n\n", report.To)
	t = tables.New("PARTITION OF "+report.To, "LAST EVENT", "APPLIED", "OPENED AT")
	for _, o := range report.Own {
		opened := tables.None
		if at := report.Opened[o.Namespace]; int(o.Partition) < len(at) {
			opened = at[o.Partition]
		}
		t.Row(fmt.Sprintf("%s-%d", o.Namespace, o.Partition), o.LastEvent, o.Applied, opened)
	}
	_, _ = t.WriteTo(&b)
	report.advice(&b)
	return b.String()
}

// part tells a place within an event, and a full sync.
func part(p *Place) string {
	switch {
	case p.Base != "":
		return fmt.Sprintf(" (a full sync at %s was under way, up to key %q)", p.Base, p.Through)
	case p.Done != math.MaxUint32 && p.Position != (event.Position{}).String():
		return fmt.Sprintf(".%d", p.Done)
	}
	return ""
}

func (report *Report) advice(b *bytes.Buffer) {
	fmt.Fprintf(b, `
When %[1]s is back:

1. Keep its clients out before its network is open to them, on any of its nodes:
     curl -X POST 'http://NODE-OF-%[1]s:12380/synceronly?enable=true'
2. What it holds beyond the positions above was acknowledged there and never came to %[2]s:
`, report.From, report.To)
	for _, h := range report.Have {
		from := h.From
		if from == (event.Position{}).String() {
			from = "earliest"
		}
		fmt.Fprintf(b, "     zankv-cdc tail --nodes NODE-OF-%s:12382 --namespace %s --partition %d --from %s > %s-%d.jsonl\n", report.From, h.Namespace, h.Partition, from, h.Namespace, h.Partition)
	}
	fmt.Fprintf(b, `   An event at the position itself, if there is one, is in already; so may later ones be, where the places of a partition differ: the last column says
   up to which event, and, if there is a number behind its point, how many of its mutations.
3. Let the syncer from %[1]s to %[2]s bring those changes over: what was written in %[2]s since is decided against, and logged. Then pause it.
     zankv-cdc changefeed list --nodes NODE-OF-%[1]s:12382
     zankv-repair conflicts list --cluster NODE-OF-%[2]s:12382
4. Bring %[1]s to the state of %[2]s by a full sync. What only %[1]s has stays there and is reported in its conflict log:
     zankv-cdc sync --source NODE-OF-%[2]s:12382 --target NODE-OF-%[1]s:12382
5. Switch back, when that has caught up: zankv-repair switchover --from NODE-OF-%[2]s:12382 --to NODE-OF-%[1]s:12382
`, report.From, report.To)
}
