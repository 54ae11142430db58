package partition

import (
	"fmt"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// maxClusterNames bounds the clusters that a partition gives numbers to: numbers are never taken back.
const maxClusterNames = 1024

// numberClusters begins with the numbers that are assigned, and this cluster's. A number that is given from then on in this term stays the cluster's, whether
// the event that needed it first comes about or not: several events may assign it, until one is applied.
func (r *Replica) numberClusters(assigned event.Names) {
	r.names = slices.Clone(assigned)
	r.self = r.names.Number([]byte(r.opts.Cluster))
}

// assignClusters has the batch assign this cluster's number if none that is applied has.
func (r *Replica) assignClusters(b *batch) { r.assign(b, r.store.State().Clusters, r.self) }

// assignNames has the batch assign the numbers of all clusters that have none yet.
func (r *Replica) assignNames(b *batch) {
	known := r.store.State().Clusters
	if len(known) == len(r.names) {
		return
	}
	for n := 1; n < len(r.names); n++ {
		r.assign(b, known, event.ClusterNumber(n))
	}
}

func (r *Replica) assign(b *batch, known event.Names, n event.ClusterNumber) {
	if int(n) < len(known) && known[n] != "" {
		return
	}
	name := event.ClusterName{Number: n, ID: r.names[n]}
	if !slices.Contains(b.ev.Clusters, name) {
		b.ev.Clusters = append(b.ev.Clusters, name)
	}
}

// admitNames says whether there is room for clusters that a range may bring.
func (r *Replica) admitNames(names event.Names) error {
	if len(r.names)+len(names) <= maxClusterNames {
		return nil
	}
	unknown := 0
	for _, id := range names {
		if id != "" && !slices.Contains(r.names, id) {
			unknown++
		}
	}
	if len(r.names)+unknown > maxClusterNames {
		return fmt.Errorf("it brings versions of %d clusters that aren't known here, and %d are: at most %d can be", unknown, len(r.names)-1, maxClusterNames-1)
	}
	return nil
}
