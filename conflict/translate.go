package conflict

import "github.com/zankv/zankv/cdc/event"

// Translate changes the cluster numbers of a mutation from those of the partition that it was read from to the target's, in place. Ids that the
// target has no number for get the next one in to: whoever proposes the outcome assigns it (Event.Clusters). elements that m shares with the event
// that it was decoded into are changed with it, and so is its Origin.
func Translate(m *event.Mutation, from event.Names, to *event.Names) {
	t := translator{from: from, to: to}
	for _, v := range [...]*event.Version{&m.Version, &m.Prev, &m.KeyVersion, &m.Floor, &m.ExpiryVersion, &m.Before.Version} {
		t.version(v)
	}
	for i := range m.Elements {
		t.version(&m.Elements[i].Prev)
	}
	if m.Origin != nil {
		m.Origin.Cluster = t.number(m.Origin.Cluster)
	}
}

type translator struct {
	from event.Names
	to   *event.Names
	// The last number translated: a mutation mostly has one.
	last, as event.ClusterNumber
}

func (t *translator) version(v *event.Version) { v.Cluster = t.number(v.Cluster) }

func (t *translator) number(n event.ClusterNumber) event.ClusterNumber {
	if n == 0 || n == t.last {
		return t.asLast(n)
	}
	t.last, t.as = n, t.to.Number([]byte(t.from.ID(n)))
	return t.as
}

func (t *translator) asLast(n event.ClusterNumber) event.ClusterNumber {
	if n == 0 {
		return 0
	}
	return t.as
}
