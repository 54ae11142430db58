package store

// Horizons says up to which time (ns) the snapshot has everything that a cluster made, by cluster id: what a version at or before that was, this
// state comes after. Of the partition's own cluster it is the clock. Of another one it is the least of its partitions' places; there is none while one
// of them isn't known, or hasn't sent everything yet.
func (n *Snapshot) Horizons() (map[string]int64, error) {
	state, err := n.State()
	if err != nil {
		return nil, err
	}
	own, err := readIdentity(n.reader)
	if err != nil {
		return nil, err
	}
	type source struct{ cluster, namespace string }
	type reach struct {
		least int64
		known uint32 // partitions from 0 on
		all   uint32
	}
	sources := make(map[source]*reach)
	err = n.Senders(func(id SenderID, at Sender) bool { // in the order of partitions
		of := sources[source{id.Cluster, id.Namespace}]
		if of == nil {
			of = &reach{least: at.Time, all: at.Partitions}
			sources[source{id.Cluster, id.Namespace}] = of
		}
		if id.Partition == of.known && at.Partitions == of.all && !at.Reached.Position.IsZero() {
			of.known++
			of.least = min(of.least, at.Time)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	horizons := make(map[string]int64, 1+len(sources))
	for from, of := range sources {
		if of.known < of.all || of.all == 0 {
			of.least = 0
		}
		if least, ok := horizons[from.cluster]; ok {
			of.least = min(of.least, least)
		}
		horizons[from.cluster] = of.least
	}
	for cluster, least := range horizons {
		if least <= 0 {
			delete(horizons, cluster)
		}
	}
	horizons[own.Cluster] = state.Clock
	return horizons, nil
}
