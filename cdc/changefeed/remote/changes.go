package remote

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// messageBytes is how much a message with changes has, about: a partition more than that. The largest partition is a progress of
// meta.MaxChangefeedValue.
const messageBytes = 256 << 10

// differ makes the messages that lead from one view to the next. Views share what didn't change, so that comparing them costs little.
type differ struct {
	last *changefeed.View
	send func(*remotepb.Changes) error

	message *remotepb.Changes
	bytes   int
}

func newDiffer(send func(*remotepb.Changes) error) *differ {
	return &differ{last: &changefeed.View{}, send: send}
}

// show sends what is different in a view.
func (d *differ) show(v *changefeed.View) error {
	d.begin(v)
	for id := range d.last.Feeds {
		if v.Feeds[id] == nil {
			if err := d.add(&remotepb.Feed{Id: id, Removed: true}, len(id)); err != nil {
				return err
			}
		}
	}
	for id, f := range v.Feeds {
		if before := d.last.Feeds[id]; before != f {
			if err := d.feed(id, before, f); err != nil {
				return err
			}
		}
	}
	d.last = v
	return d.send(d.message)
}

func (d *differ) begin(v *changefeed.View) {
	d.message, d.bytes = &remotepb.Changes{Revision: v.Revision}, 0
}

// add has a message sent first that is full.
func (d *differ) add(f *remotepb.Feed, bytes int) error {
	if d.bytes > 0 && d.bytes+bytes > messageBytes {
		d.message.More = true
		if err := d.send(d.message); err != nil {
			return err
		}
		d.message, d.bytes = &remotepb.Changes{Revision: d.message.Revision}, 0
	}
	d.message.Feeds = append(d.message.Feeds, f)
	d.bytes += bytes
	return nil
}

func (d *differ) feed(id string, before, now *changefeed.Feed) error {
	if before == nil {
		before = &changefeed.Feed{}
	}
	f := &remotepb.Feed{Id: id}
	if !reflect.DeepEqual(&before.Spec, &now.Spec) {
		spec, err := json.Marshal(&now.Spec)
		if err != nil {
			return fmt.Errorf("changefeed %s: %w", id, err)
		}
		f.Spec = spec
	}
	bytes := len(id) + len(f.Spec)
	for _, n := range partitions(before, now) {
		p, size, err := partition(before, now, n)
		if err != nil {
			return fmt.Errorf("changefeed %s, partition %d: %w", id, n, err)
		}
		if p == nil {
			continue
		}
		if f.Partitions = append(f.Partitions, p); bytes+size > messageBytes {
			if err := d.add(f, bytes+size); err != nil {
				return err
			}
			f, bytes, size = &remotepb.Feed{Id: id}, len(id), 0
		}
		bytes += size
	}
	if f.Spec == nil && f.Partitions == nil {
		return nil
	}
	return d.add(f, bytes)
}

// partitions are those that either of two has anything of, in order.
func partitions(before, now *changefeed.Feed) []uint32 {
	all := map[uint32]bool{}
	for _, f := range []*changefeed.Feed{before, now} {
		for n := range f.Progress {
			all[n] = true
		}
		for n := range f.Owners {
			all[n] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// partition is what is different of one: nil if nothing is.
func partition(before, now *changefeed.Feed, n uint32) (*remotepb.Partition, int, error) {
	const little = 16 // what an entry takes beside its content
	p, size := &remotepb.Partition{Number: n}, little
	was, had := before.Progress[n]
	is, has := now.Progress[n]
	switch {
	case has && (!had || was != is):
		value, err := json.Marshal(&is)
		if err != nil {
			return nil, 0, err
		}
		p.Progress = &remotepb.Partition_Saved{Saved: value}
		size += len(value)
	case had && !has:
		p.Progress = &remotepb.Partition_NoProgress{NoProgress: true}
	}
	whoWas, hadOwner := before.Owners[n]
	who, hasOwner := now.Owners[n]
	switch {
	case hasOwner && whoWas != who:
		p.Owner = &remotepb.Partition_Owned{Owned: &remotepb.Owner{Process: who.Process, Epoch: who.Epoch}}
		size += len(who.Process)
	case hadOwner && !hasOwner:
		p.Owner = &remotepb.Partition_NoOwner{NoOwner: true}
	}
	if p.Progress == nil && p.Owner == nil {
		return nil, 0, nil
	}
	return p, size, nil
}

// follower makes views of changes. It is for one session.
type follower struct {
	builder *meta.FeedBuilder
	known   map[string]map[uint32]bool // partitions by changefeed, for when that is removed
}

func newFollower() *follower {
	return &follower{builder: meta.NewFeedBuilder(), known: map[string]map[uint32]bool{}}
}

// apply takes one message. The view is nil while more follow.
func (f *follower) apply(c *remotepb.Changes) (*changefeed.View, error) {
	for _, feed := range c.GetFeeds() {
		if err := f.feed(feed); err != nil {
			return nil, fmt.Errorf("changefeed %.40s: %w", feed.GetId(), err)
		}
	}
	if c.GetMore() {
		return nil, nil
	}
	return f.builder.View(c.GetRevision()), nil
}

func (f *follower) feed(pb *remotepb.Feed) error {
	id := pb.GetId()
	if pb.GetRemoved() {
		f.remove(id)
		return nil
	}
	if err := changefeed.ValidateID(id); err != nil {
		return err
	}
	if len(pb.GetSpec()) > 0 {
		var s changefeed.Spec
		if err := json.Unmarshal(pb.GetSpec(), &s); err != nil {
			return err
		}
		s.SetDefaults()
		f.builder.SetSpec(id, &s)
	}
	for _, p := range pb.GetPartitions() {
		if p.GetNumber() >= meta.MaxPartitions {
			return fmt.Errorf("partition %d: want 0 to %d", p.GetNumber(), meta.MaxPartitions-1)
		}
		if err := f.partition(id, p); err != nil {
			return fmt.Errorf("partition %d: %w", p.GetNumber(), err)
		}
	}
	return nil
}

func (f *follower) partition(id string, pb *remotepb.Partition) error {
	n := pb.GetNumber()
	if f.known[id] == nil {
		f.known[id] = map[uint32]bool{}
	}
	f.known[id][n] = true
	switch what := pb.GetProgress().(type) {
	case *remotepb.Partition_Saved:
		var p changefeed.Progress
		if err := json.Unmarshal(what.Saved, &p); err != nil {
			return err
		}
		f.builder.SetProgress(id, n, &p)
	case *remotepb.Partition_NoProgress:
		f.builder.SetProgress(id, n, nil)
	}
	switch what := pb.GetOwner().(type) {
	case *remotepb.Partition_Owned:
		f.builder.SetOwner(id, n, &changefeed.Owner{Process: what.Owned.GetProcess(), Epoch: what.Owned.GetEpoch()})
	case *remotepb.Partition_NoOwner:
		f.builder.SetOwner(id, n, nil)
	}
	return nil
}

func (f *follower) remove(id string) {
	f.builder.SetSpec(id, nil)
	for n := range f.known[id] {
		f.builder.SetProgress(id, n, nil)
		f.builder.SetOwner(id, n, nil)
	}
	delete(f.known, id)
}
