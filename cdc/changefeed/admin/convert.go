package admin

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin/adminpb"
	"github.com/zankv/zankv/cdc/event"
)

// Status is a changefeed as a node shows it.
type Status struct {
	changefeed.Feed
	// Partitions is how many its namespace has, 0 if that is gone; State the worst of them.
	Partitions uint32
	State      changefeed.State
}

func specToPB(s *changefeed.Spec) *adminpb.Spec {
	return &adminpb.Spec{
		Id: s.ID, Namespace: s.Namespace, SinkUri: s.SinkURI, From: s.From, To: s.To, Filter: filterToPB(&s.Filter), Format: string(s.Format),
		Heartbeat: int64(s.Heartbeat), Digests: s.Digests, Archive: s.Archive, BandwidthBytes: s.BandwidthBytes, Paused: s.Paused,
		Created: s.Created, Generation: s.Generation, Runner: s.Runner,
	}
}

func specFromPB(s *adminpb.Spec) changefeed.Spec {
	return changefeed.Spec{
		ID: s.GetId(), Namespace: s.GetNamespace(), SinkURI: s.GetSinkUri(), From: s.GetFrom(), To: s.GetTo(), Filter: filterFromPB(s.GetFilter()),
		Format: changefeed.Format(s.GetFormat()), Heartbeat: changefeed.Duration(s.GetHeartbeat()), Digests: s.GetDigests(), Archive: s.GetArchive(),
		BandwidthBytes: s.GetBandwidthBytes(), Paused: s.GetPaused(), Created: s.GetCreated(), Generation: s.GetGeneration(),
		Runner: s.GetRunner(),
	}
}

func filterToPB(f *changefeed.Filter) *adminpb.Filter {
	return &adminpb.Filter{Tables: f.Tables, Keys: f.Keys, Ops: f.Ops, Origins: f.Origins}
}

func filterFromPB(f *adminpb.Filter) changefeed.Filter {
	return changefeed.Filter{Tables: f.GetTables(), Keys: f.GetKeys(), Ops: f.GetOps(), Origins: f.GetOrigins()}
}

func statusToPB(s *Status) *adminpb.Changefeed {
	pb := &adminpb.Changefeed{Spec: specToPB(&s.Spec), Partitions: s.Partitions, State: string(s.State)}
	begun := map[uint32]*adminpb.Partition{}
	at := func(n uint32) *adminpb.Partition {
		if begun[n] == nil {
			begun[n] = &adminpb.Partition{Number: n}
		}
		return begun[n]
	}
	for n, p := range s.Progress {
		at(n).Progress = progressToPB(&p)
	}
	for n, o := range s.Owners {
		at(n).Owner, at(n).OwnerEpoch = o.Process, o.Epoch
	}
	for _, n := range slices.Sorted(maps.Keys(begun)) {
		pb.Begun = append(pb.Begun, begun[n])
	}
	return pb
}

func statusFromPB(pb *adminpb.Changefeed) (Status, error) {
	s := Status{Partitions: pb.GetPartitions(), State: changefeed.State(pb.GetState())}
	s.Spec = specFromPB(pb.GetSpec())
	s.Progress, s.Owners = map[uint32]changefeed.Progress{}, map[uint32]changefeed.Owner{}
	for _, p := range pb.GetBegun() {
		if p.Owner != "" {
			s.Owners[p.Number] = changefeed.Owner{Process: p.Owner, Epoch: p.OwnerEpoch}
		}
		if p.Progress == nil {
			continue
		}
		progress, err := progressFromPB(p.Progress)
		if err != nil {
			return s, fmt.Errorf("changefeed %s, partition %d: %w", s.Spec.ID, p.Number, err)
		}
		s.Progress[p.Number] = progress
	}
	return s, nil
}

func progressToPB(p *changefeed.Progress) *adminpb.Progress {
	pb := &adminpb.Progress{
		Position: &adminpb.Position{Term: p.Position.Term, Index: p.Position.Index}, Chain: p.Chain[:], Time: p.Time, Forced: p.Forced,
		State: string(p.State), Generation: p.Generation, Owner: p.Owner, Epoch: p.Epoch, Updated: p.Updated, Figures: figuresToPB(&p.Figures),
	}
	if t := p.Trouble; t != nil {
		pb.Trouble = &adminpb.Trouble{Stage: string(t.Stage), Code: string(t.Code), Reason: t.Reason, Action: t.Action, Since: t.Since}
	}
	return pb
}

func progressFromPB(pb *adminpb.Progress) (changefeed.Progress, error) {
	p := changefeed.Progress{
		Position: event.Position{Term: pb.GetPosition().GetTerm(), Index: pb.GetPosition().GetIndex()}, Time: pb.Time, Forced: pb.Forced,
		State: changefeed.State(pb.State), Generation: pb.Generation, Owner: pb.Owner, Epoch: pb.Epoch, Updated: pb.Updated,
		Figures: figuresFromPB(pb.GetFigures()),
	}
	if copy(p.Chain[:], pb.Chain) != len(pb.Chain) || len(pb.Chain) != len(p.Chain) {
		return p, fmt.Errorf("chain of %d bytes, want %d", len(pb.Chain), len(p.Chain))
	}
	if t := pb.Trouble; t != nil {
		p.Trouble = &changefeed.Trouble{Stage: changefeed.Stage(t.Stage), Code: changefeed.Code(t.Code), Reason: t.Reason, Action: t.Action, Since: t.Since}
	}
	return p, nil
}

func figuresToPB(f *changefeed.Figures) *adminpb.Figures {
	return &adminpb.Figures{
		LagEntries: f.LagEntries, LagBytes: f.LagBytes, LagSeconds: f.LagSeconds,
		EventsPerSecond: f.EventsPerSecond, BytesPerSecond: f.BytesPerSecond, EtaSeconds: f.ETASeconds,
		Events: f.Events, Mutations: f.Mutations, Filtered: f.Filtered, Messages: f.Messages, Bytes: f.Bytes, Retries: f.Retries,
		Snapshots: f.Snapshots, BufferedBytes: f.Buffered, OldestRetained: f.OldestRetained, HeadroomBytes: f.HeadroomBytes,
	}
}

func figuresFromPB(f *adminpb.Figures) changefeed.Figures {
	return changefeed.Figures{
		LagEntries: f.GetLagEntries(), LagBytes: f.GetLagBytes(), LagSeconds: f.GetLagSeconds(),
		EventsPerSecond: f.GetEventsPerSecond(), BytesPerSecond: f.GetBytesPerSecond(), ETASeconds: f.GetEtaSeconds(),
		Events: f.GetEvents(), Mutations: f.GetMutations(), Filtered: f.GetFiltered(), Messages: f.GetMessages(), Bytes: f.GetBytes(),
		Retries: f.GetRetries(), Snapshots: f.GetSnapshots(), Buffered: f.GetBufferedBytes(), OldestRetained: f.GetOldestRetained(),
		HeadroomBytes: f.GetHeadroomBytes(),
	}
}

// Change is what to change of a definition: nil fields stay.
type Change struct {
	SinkURI, From, To, Archive, Runner *string
	Filter                             *changefeed.Filter
	Format                             *changefeed.Format
	Heartbeat                          *time.Duration
	Digests                            *bool
	BandwidthBytes                     *int64
	// Generation, if it isn't 0, is the one that the definition must have.
	Generation uint64
}

func (c *Change) toPB(id string) *adminpb.UpdateRequest {
	r := &adminpb.UpdateRequest{
		Id: id, SinkUri: c.SinkURI, From: c.From, To: c.To, Archive: c.Archive, Digests: c.Digests, BandwidthBytes: c.BandwidthBytes, Runner: c.Runner,
		Format: (*string)(c.Format), Heartbeat: (*int64)(c.Heartbeat), Generation: c.Generation,
	}
	if c.Filter != nil {
		r.Filter = filterToPB(c.Filter)
	}
	return r
}

// changed applies an update. beside says which of the things that need a pause it touches: "" is none.
func changed(s changefeed.Spec, r *adminpb.UpdateRequest) (_ changefeed.Spec, beside string) {
	set := func(to *string, from *string, name string) {
		if from != nil && *from != *to {
			*to, beside = *from, name
		}
	}
	format := string(s.Format)
	set(&s.SinkURI, r.SinkUri, "the sink")
	set(&s.From, r.From, "where it begins")
	set(&s.Runner, r.Runner, "who runs it")
	set(&format, r.Format, "the format")
	s.Format = changefeed.Format(format)
	if r.To != nil {
		s.To = *r.To
	}
	if r.Archive != nil {
		s.Archive = *r.Archive
	}
	if r.Filter != nil {
		s.Filter = filterFromPB(r.Filter)
	}
	if r.Heartbeat != nil {
		s.Heartbeat = changefeed.Duration(*r.Heartbeat)
	}
	if r.Digests != nil {
		s.Digests = *r.Digests
	}
	if r.BandwidthBytes != nil {
		s.BandwidthBytes = *r.BandwidthBytes
	}
	return s, beside
}
