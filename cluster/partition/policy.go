package partition

import "github.com/zankv/zankv/conflict"

// SetConflictPolicy changes how what other clusters made is decided from here on, where this replica leads. Each decision is in its event, so
// replicas that hear of the change at different times agree all the same.
func (r *Replica) SetConflictPolicy(p conflict.Policy) {
	r.box.call(func() { r.opts.Replication.Policy = p })
}
