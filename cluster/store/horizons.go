package store

// Horizons says up to which time (ns) the snapshot has everything that a cluster made, by cluster id: what a version at or before that was, this
// state comes after. Of the partition's own cluster it is the clock. Of another one it is the least place of its partitions that can share keys with this
// one, cut being how the own namespace is; there is none while one of them isn't known, or hasn't sent everything yet.
func (n *Snapshot) Horizons(cut Cut) (map[string]int64, error) {
	state, err := n.State()
	if err != nil {
		return nil, err
	}
	own, err := readIdentity(n.reader)
	if err != nil {
		return nil, err
	}
	type source struct{ cluster, namespace string }
	sources := make(map[source]*reach)
	err = n.Senders(func(id SenderID, at Sender) bool { // in the order of partitions
		all := cut.Sharing(own.Partition, at.Cut())
		if _, shares := all.Index(id.Partition); !shares && all.Count > 0 {
			return true // nothing of it can be here
		}
		of := sources[source{id.Cluster, id.Namespace}]
		if of == nil {
			of = &reach{least: at.Time, cut: at.Cut(), all: all}
			sources[source{id.Cluster, id.Namespace}] = of
		}
		of.add(id.Partition, &at)
		return true
	})
	if err != nil {
		return nil, err
	}
	horizons := make(map[string]int64, 1+len(sources))
	for from, of := range sources {
		if !of.complete() {
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

// reach is how far a namespace of another cluster is here.
type reach struct {
	least int64
	cut   Cut
	all   Numbers // of its partitions, those that can share keys with this one
	known uint32  // of these, from the first one on
	mixed bool    // it was made anew, cut in another way, and rows of both are here
}

func (r *reach) add(number uint32, at *Sender) {
	switch {
	case at.Cut() != r.cut:
		r.mixed = true
	case r.known < r.all.Count && number == r.all.At(r.known) && !at.Reached.Position.IsZero():
		r.known++
		r.least = min(r.least, at.Time)
	}
}

func (r *reach) complete() bool { return !r.mixed && r.known == r.all.Count && r.known > 0 }
