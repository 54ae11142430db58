package etcdmeta

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
)

// root is where all clusters' metadata lies.
const root = "/ZanRedisDBMetaData/"

// layout names the keys of one cluster; see the package comment.
type layout struct {
	prefix string // root, cluster id and a slash
}

func (l layout) clusterMeta() string        { return l.prefix + "ClusterMeta" }
func (l layout) claim(ns string) string     { return l.prefix + "Claims/" + ns }
func (l layout) namespace(ns string) string { return l.prefix + "Namespaces/" + ns + "/" }
func (l layout) meta(ns string) string      { return l.namespace(ns) + "NamespaceMeta" }
func (l layout) node(id meta.NodeID) string { return l.prefix + "DataNodes/" + nodeName(id) }
func (l layout) addr(id meta.NodeID) string { return l.prefix + "NodeAddresses/" + nodeName(id) }
func (l layout) at(p meta.PartitionID) string {
	return l.namespace(p.Namespace) + strconv.Itoa(p.Number)
}

func (l layout) replicas(p meta.PartitionID) string { return l.at(p) + "/ReplicaInfo" }
func (l layout) leader(p meta.PartitionID) string   { return l.at(p) + "/RealLeader" }

func nodeName(id meta.NodeID) string { return "Node-" + strconv.FormatUint(uint64(id), 10) }

// clusterMeta is the value of ClusterMeta.
type clusterMeta struct {
	// UID tells this content of etcd from any other under the same keys.
	UID      string      `json:"UID"`
	MaxGID   uint64      `json:"MaxGID"`
	MaxRegID meta.NodeID `json:"MaxRegID"`
}

// presence is the value of DataNodes/Node-<id>.
type presence struct {
	meta.Node
	Instance string `json:"Instance"`
}

// change is one key put (value not nil) or removed, at a revision.
type change struct {
	key      string
	value    []byte
	revision int64
	lease    clientv3.LeaseID // 0: under none
}

// apply brings a change into the builder. Keys that mean nothing to us are passed over; what can't be read changes
// nothing.
func (l layout) apply(b *meta.Builder, c change) error {
	rest, ok := strings.CutPrefix(c.key, l.prefix)
	if !ok {
		return nil
	}
	kind, name, _ := strings.Cut(rest, "/")
	var err error
	switch kind {
	case "Namespaces":
		err = applyNamespace(b, name, c)
	case "DataNodes", "NodeAddresses":
		err = applyNode(b, kind, name, c)
	}
	if err != nil {
		return fmt.Errorf("%w: key %s at revision %d: %w", meta.ErrCorrupt, c.key, c.revision, err)
	}
	return nil
}

func applyNode(b *meta.Builder, kind, name string, c change) error {
	digits, _ := strings.CutPrefix(name, "Node-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return fmt.Errorf("node name %q: want Node-<id>", name)
	}
	id := meta.NodeID(n)
	if kind == "DataNodes" {
		b.SetLive(id, c.value != nil)
		return nil
	}
	if c.value == nil {
		b.SetNode(id, nil)
		return nil
	}
	var node meta.Node
	if err := json.Unmarshal(c.value, &node); err != nil {
		return err
	}
	if node.ID != id {
		return fmt.Errorf("value says node %d", node.ID)
	}
	b.SetNode(id, &node)
	return nil
}

func applyNamespace(b *meta.Builder, rest string, c change) error {
	name, item, _ := strings.Cut(rest, "/")
	if item == "NamespaceMeta" {
		if c.value == nil {
			b.SetNamespace(name, nil)
			return nil
		}
		ns, err := decodeNamespace(name, c.value)
		if err != nil {
			return err
		}
		b.SetNamespace(name, &ns)
		return nil
	}
	number, item, _ := strings.Cut(item, "/")
	if item != "ReplicaInfo" && item != "RealLeader" {
		return nil
	}
	id, err := meta.ParsePartitionID(name + "-" + number)
	if err != nil {
		return err
	}
	if item == "RealLeader" {
		return applyLeader(b, id, c)
	}
	return applyPlacement(b, id, c)
}

func applyLeader(b *meta.Builder, id meta.PartitionID, c change) error {
	if c.value == nil {
		b.SetLeader(id, nil)
		return nil
	}
	leader := meta.Leader{Partition: id}
	if err := json.Unmarshal(c.value, &leader); err != nil {
		return err
	}
	b.SetLeader(id, &leader)
	return nil
}

func applyPlacement(b *meta.Builder, id meta.PartitionID, c change) error {
	if c.value == nil {
		b.SetPlacement(id, nil)
		return nil
	}
	p := meta.Placement{Partition: id, Revision: c.revision}
	if err := json.Unmarshal(c.value, &p); err != nil {
		return err
	}
	if err := p.Validate(); err != nil {
		return err
	}
	b.SetPlacement(id, &p)
	return nil
}

// decodeNamespace takes what an older writer didn't say from the defaults.
func decodeNamespace(name string, value []byte) (meta.Namespace, error) {
	ns := meta.DefaultNamespace()
	if err := json.Unmarshal(value, &ns); err != nil {
		return ns, err
	}
	ns.Name = name
	return ns, ns.Validate()
}

// encode is for our own types, of which none can fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("etcdmeta: encode %T: %v", v, err))
	}
	return string(b)
}
