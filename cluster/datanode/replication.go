package datanode

import (
	"time"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/conflict"
)

// replication is the node's, with the namespace's policy.
func (n *Node) replication(m *meta.Namespace) partition.Replication {
	r := n.opts.Replication
	r.Policy = policyOf(m)
	return r
}

func policyOf(m *meta.Namespace) conflict.Policy {
	if m.ConflictPolicy == meta.ConflictElement {
		return conflict.PolicyElement
	}
	return conflict.PolicyDefault
}

// takePolicy tells a namespace's replicas that its conflict policy has changed.
func (n *Node) takePolicy(ns *namespace) {
	n.opts.Logger.Info("the conflict policy has changed", "namespace", ns.meta.Name, "policy", policyName(&ns.meta))
	for i := range ns.replicas {
		if r := ns.replicas[i].Load(); r != nil {
			r.SetConflictPolicy(policyOf(&ns.meta))
		}
	}
}

func policyName(m *meta.Namespace) string {
	if m.ConflictPolicy == "" {
		return meta.ConflictDefault
	}
	return m.ConflictPolicy
}

// clock is the node's wall clock, as far as it is asked for times that are stored: with the offset that tests give it.
func (o *Options) clock() func() time.Time {
	if o.ClockOffset == 0 {
		return time.Now
	}
	return func() time.Time { return time.Now().Add(o.ClockOffset) }
}
