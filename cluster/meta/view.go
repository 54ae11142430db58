package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// View is one picture of everything a store holds. It is immutable.
type View struct {
	// Revision grows with every change. 0 before the first picture.
	Revision   int64
	Namespaces map[string]*NamespaceView
	Nodes      map[NodeID]*NodeView
}

// NamespaceView is a namespace with its partitions.
type NamespaceView struct {
	Namespace
	// Partitions holds partition i at i.
	Partitions []PartitionView
}

// PartitionView is where a partition is and who leads it.
type PartitionView struct {
	Placement Placement
	Leader    Leader
}

// NodeView is a node as it registered last.
type NodeView struct {
	Node
	// Live says whether it is there now.
	Live bool
}

// Partition finds a partition; nil if there is none.
func (v *View) Partition(id PartitionID) *PartitionView {
	ns := v.Namespaces[id.Namespace]
	if ns == nil || id.Number < 0 || id.Number >= len(ns.Partitions) {
		return nil
	}
	return &ns.Partitions[id.Number]
}

// LeaderNode is the node that announced itself as a partition's leader; nil if none did.
func (v *View) LeaderNode(id PartitionID) *NodeView {
	p := v.Partition(id)
	if p == nil {
		return nil
	}
	return v.Nodes[p.Leader.Node]
}

// RaftAddr is where a node's raft transport is reached, whether it is live or not; "" if it is unknown.
func (v *View) RaftAddr(id NodeID) string {
	if n := v.Nodes[id]; n != nil {
		return n.RaftAddr
	}
	return ""
}

// LiveNodes are the nodes that are there now, in the order of their ids.
func (v *View) LiveNodes() []*NodeView {
	var live []*NodeView
	for _, n := range v.Nodes {
		if n.Live {
			live = append(live, n)
		}
	}
	slices.SortFunc(live, func(a, b *NodeView) int { return cmp.Compare(a.ID, b.ID) })
	return live
}

// PlacedOn are the partitions of which a node holds a voting replica, in order.
func (v *View) PlacedOn(id NodeID) []*PartitionView {
	var on []*PartitionView
	for _, name := range slices.Sorted(maps.Keys(v.Namespaces)) {
		parts := v.Namespaces[name].Partitions
		for i := range parts {
			if parts[i].Placement.Has(id) {
				on = append(on, &parts[i])
			}
		}
	}
	return on
}

// Group finds the partition of a raft group.
func (v *View) Group(gid uint64) (PartitionID, bool) {
	for _, ns := range v.Namespaces {
		if gid >= ns.MinGID && gid < ns.MinGID+uint64(ns.Namespace.Partitions) {
			return PartitionID{Namespace: ns.Name, Number: int(gid - ns.MinGID)}, true
		}
	}
	return PartitionID{}, false
}

// Builder makes views out of single changes, for implementations of Store. What a change doesn't concern is shared
// between the views before and after. It is for one goroutine.
type Builder struct {
	namespaces map[string]*raw
	addresses  map[NodeID]Node
	present    map[NodeID]bool
	shown      View
	touched    map[string]bool
	nodesDirty bool
}

// raw is what is known of a namespace, whole or not.
type raw struct {
	meta       *Namespace
	placements map[int]Placement
	leaders    map[int]Leader
}

// NewBuilder has nothing in it.
func NewBuilder() *Builder {
	return &Builder{
		namespaces: map[string]*raw{},
		addresses:  map[NodeID]Node{},
		present:    map[NodeID]bool{},
		shown:      View{Namespaces: map[string]*NamespaceView{}, Nodes: map[NodeID]*NodeView{}},
		touched:    map[string]bool{},
	}
}

func (b *Builder) touch(ns string) *raw {
	r := b.namespaces[ns]
	if r == nil {
		r = &raw{placements: map[int]Placement{}, leaders: map[int]Leader{}}
		b.namespaces[ns] = r
	}
	b.touched[ns] = true
	return r
}

// SetNamespace puts a namespace, or with nil removes it.
func (b *Builder) SetNamespace(name string, ns *Namespace) { b.touch(name).meta = ns }

// SetPlacement puts a partition's placement, or with nil removes it.
func (b *Builder) SetPlacement(id PartitionID, p *Placement) {
	r := b.touch(id.Namespace)
	if p == nil {
		delete(r.placements, id.Number)
		return
	}
	r.placements[id.Number] = *p
}

// SetLeader puts a partition's leader, or with nil removes it.
func (b *Builder) SetLeader(id PartitionID, l *Leader) {
	r := b.touch(id.Namespace)
	if l == nil {
		delete(r.leaders, id.Number)
		return
	}
	r.leaders[id.Number] = *l
}

// SetNode puts a node's addresses, or with nil removes it.
func (b *Builder) SetNode(id NodeID, n *Node) {
	b.nodesDirty = true
	if n == nil {
		delete(b.addresses, id)
		return
	}
	b.addresses[id] = *n
}

// SetLive says whether a node is there.
func (b *Builder) SetLive(id NodeID, live bool) {
	b.nodesDirty = true
	if !live {
		delete(b.present, id)
		return
	}
	b.present[id] = true
}

// View is the picture after the changes so far. It also names the namespaces that are held back because a placement is
// missing or doesn't fit.
func (b *Builder) View(revision int64) (*View, []error) {
	var errs []error
	if len(b.touched) > 0 {
		b.shown.Namespaces = maps.Clone(b.shown.Namespaces)
	}
	for name := range b.touched {
		nv, err := b.namespaces[name].view(name)
		if err != nil {
			errs = append(errs, err)
		}
		if nv == nil {
			delete(b.shown.Namespaces, name)
			b.forget(name)
			continue
		}
		b.shown.Namespaces[name] = nv
	}
	clear(b.touched)
	if b.nodesDirty {
		b.shown.Nodes = b.nodes()
		b.nodesDirty = false
	}
	b.shown.Revision = revision
	v := b.shown
	return &v, errs
}

// forget lets go of a namespace of which nothing is left.
func (b *Builder) forget(name string) {
	if r := b.namespaces[name]; r.meta == nil && len(r.placements) == 0 && len(r.leaders) == 0 {
		delete(b.namespaces, name)
	}
}

func (b *Builder) nodes() map[NodeID]*NodeView {
	nodes := make(map[NodeID]*NodeView, len(b.addresses))
	for id, n := range b.addresses {
		nodes[id] = &NodeView{Node: n, Live: b.present[id]}
	}
	return nodes
}

// view is nil while the namespace isn't there as a whole.
func (r *raw) view(name string) (*NamespaceView, error) {
	if r.meta == nil {
		return nil, nil
	}
	nv := &NamespaceView{Namespace: *r.meta, Partitions: make([]PartitionView, r.meta.Partitions)}
	for i := range nv.Partitions {
		p, ok := r.placements[i]
		if !ok {
			return nil, fmt.Errorf("%w: namespace %s: no placement of partition %d of %d: held back", ErrCorrupt, name, i, r.meta.Partitions)
		}
		id := PartitionID{Namespace: name, Number: i}
		l := r.leaders[i]
		l.Partition = id
		nv.Partitions[i] = PartitionView{Placement: p, Leader: l}
	}
	return nv, nil
}
