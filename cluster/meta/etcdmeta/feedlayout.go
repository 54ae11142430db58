package etcdmeta

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/meta"
)

// seat is what one process at a time owns: a partition of a changefeed.
type seat struct {
	id        string
	partition uint32
}

func (s seat) String() string { return "changefeed " + s.id + ", partition " + s.number() }
func (s seat) number() string { return strconv.FormatUint(uint64(s.partition), 10) }

func (l layout) feeds() string          { return l.prefix + "Changefeeds/" }
func (l layout) feed(id string) string  { return l.feeds() + id + "/" }
func (l layout) spec(id string) string  { return l.feed(id) + "Spec" }
func (l layout) progress(s seat) string { return l.feed(s.id) + s.number() + "/Progress" }
func (l layout) owner(s seat) string    { return l.feed(s.id) + s.number() + "/Owner" }
func (l layout) epoch(s seat) string    { return l.prefix + "ChangefeedEpochs/" + s.id + "/" + s.number() }
func (l layout) afterFeeds() string     { return clientv3.GetPrefixRangeEnd(l.feeds()) }

// feedPicture shows changefeeds as a changefeed.View, and tells the claims here what became of them.
type feedPicture struct {
	store   *Store
	tenure  *tenure
	publish func(*changefeed.View)
	builder *meta.FeedBuilder
	urgent  bool // more than progress was changed
}

func (p *feedPicture) reset() {
	p.builder, p.urgent = meta.NewFeedBuilder(), true
	p.tenure.relist()
}

func (p *feedPicture) pressing() bool { return p.urgent }

func (p *feedPicture) show(revision int64) {
	p.urgent = false
	p.tenure.seen(revision)
	p.publish(p.builder.View(revision))
}

func (p *feedPicture) apply(c change) error {
	rest, ok := strings.CutPrefix(c.key, p.store.keys.feeds())
	if !ok {
		return nil
	}
	id, item, _ := strings.Cut(rest, "/")
	var err error
	if item == "Spec" {
		err = p.applySpec(id, c)
	} else if number, item, _ := strings.Cut(item, "/"); item == "Progress" || item == "Owner" {
		err = p.applyPartition(id, number, item, c)
	}
	if err != nil {
		return fmt.Errorf("%w: key %s at revision %d: %w", meta.ErrCorrupt, c.key, c.revision, err)
	}
	return nil
}

func (p *feedPicture) applySpec(id string, c change) error {
	p.urgent = true
	if c.value == nil {
		p.builder.SetSpec(id, nil)
		return nil
	}
	s, err := decodeSpec(id, c.value)
	if err != nil {
		return err
	}
	p.builder.SetSpec(id, &s)
	return nil
}

// decodeSpec takes what an older writer didn't say from the defaults.
func decodeSpec(id string, value []byte) (changefeed.Spec, error) {
	var s changefeed.Spec
	if err := json.Unmarshal(value, &s); err != nil {
		return s, err
	}
	if s.ID != id {
		return s, fmt.Errorf("value says changefeed %.40q", s.ID)
	}
	s.SetDefaults()
	return s, s.Validate()
}

func (p *feedPicture) applyPartition(id, number, item string, c change) error {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n >= meta.MaxPartitions || strconv.FormatUint(n, 10) != number {
		return fmt.Errorf("partition %.20q: want 0 to %d", number, meta.MaxPartitions-1)
	}
	at := seat{id, uint32(n)}
	if item == "Owner" {
		p.urgent = true
		p.tenure.owned(at, c)
	}
	if c.value == nil {
		if item == "Owner" {
			p.builder.SetOwner(id, at.partition, nil)
		} else {
			p.builder.SetProgress(id, at.partition, nil)
		}
		return nil
	}
	if item == "Owner" {
		o, err := decodeOwner(c.value)
		if err == nil {
			p.builder.SetOwner(id, at.partition, &o)
		}
		return err
	}
	progress, err := decodeProgress(c.value)
	if err != nil {
		return err
	}
	p.builder.SetProgress(id, at.partition, &progress)
	return nil
}

func decodeProgress(value []byte) (p changefeed.Progress, err error) {
	err = json.Unmarshal(value, &p)
	return p, err
}

// ownerValue is the value of an Owner key.
type ownerValue struct {
	Process string `json:"process"`
	Epoch   uint64 `json:"epoch"`
}

func decodeOwner(value []byte) (changefeed.Owner, error) {
	var o ownerValue
	err := json.Unmarshal(value, &o)
	return changefeed.Owner{Process: o.Process, Epoch: o.Epoch}, err
}
