package conflictlog

import (
	"context"
	"fmt"
	"strings"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/replay/replaypb"
)

// Log is the conflict log of a namespace.
type Log struct {
	Cluster    *peers.Cluster
	Namespace  string
	Partitions []uint32 // those that are looked at
}

// Each gives f the rows that pass the filter, partition by partition, at most limit of all (0: every one).
func (l *Log) Each(ctx context.Context, filter *replaypb.Filter, limit int, f func(*peers.Row) error) error {
	given := 0
	for _, number := range l.Partitions {
		left := 0
		if limit > 0 {
			if left = limit - given; left == 0 {
				return nil
			}
		}
		err := l.Cluster.Conflicts(ctx, l.Namespace, number, filter, left, func(r *peers.Row) error {
			given++
			return f(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	idDigits = 32
	// fewestDigits is the shortest beginning of an id that is taken for it.
	fewestDigits = 6
)

// CheckID says what is wrong with an id, or the beginning of one.
func CheckID(id string) error {
	if len(id) < fewestDigits || len(id) > idDigits || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%.40q is no id: want %d hexadecimal digits, or the first %d or more of them", id, idDigits, fewestDigits)
	}
	return nil
}

// Find gives the rows that ids, or their beginnings, name, in the order of ids. A failure.NotFound says which one has none; a failure.Invalid, which has several.
func (l *Log) Find(ctx context.Context, ids []string) ([]*peers.Row, error) {
	found := make([][]*peers.Row, len(ids))
	err := l.Each(ctx, &replaypb.Filter{Ids: ids}, 0, func(r *peers.Row) error {
		for i, id := range ids {
			if strings.HasPrefix(r.ID().String(), id) {
				found[i] = append(found[i], r)
			}
			if len(found[i]) > maxNamed {
				return ambiguous(id, found[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([]*peers.Row, len(ids))
	for i, id := range ids {
		switch len(found[i]) {
		case 0:
			return nil, failure.New(failure.NotFound, "it was settled, purged or has expired; conflicts list shows what there is, and with --diverged the keys that have diverged",
				"no row of the conflict log of namespace %s has the id %s", l.Namespace, id)
		case 1:
			rows[i] = found[i][0]
		default:
			return nil, ambiguous(id, found[i])
		}
	}
	return rows, nil
}

// maxNamed is how many rows one beginning of an id may have before they are no longer gathered.
const maxNamed = 8

func ambiguous(id string, rows []*peers.Row) error {
	var all []string
	for _, r := range rows {
		all = append(all, r.ID().String())
	}
	return failure.New(failure.Invalid, "give more of its digits", "%s is the beginning of several: %s", id, strings.Join(all, ", "))
}

// Purge removes rows and says how many were there still.
func (l *Log) Purge(ctx context.Context, rows []*peers.Row) (removed uint64, err error) {
	ids := map[uint32][][]byte{}
	for _, r := range rows {
		ids[r.Partition] = append(ids[r.Partition], r.RowID)
	}
	for _, number := range l.Partitions {
		n, err := l.Cluster.Purge(ctx, l.Namespace, number, ids[number])
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// PurgeAll removes the rows that pass the filter, in bounded memory, and says how many were there.
func (l *Log) PurgeAll(ctx context.Context, filter *replaypb.Filter) (removed uint64, err error) {
	const batch = 1024
	for _, number := range l.Partitions {
		for {
			var ids [][]byte
			err := l.Cluster.Conflicts(ctx, l.Namespace, number, filter, batch, func(r *peers.Row) error {
				ids = append(ids, r.RowID)
				return nil
			})
			if err != nil {
				return removed, err
			}
			n, err := l.Cluster.Purge(ctx, l.Namespace, number, ids)
			if removed += n; err != nil {
				return removed, err
			}
			if len(ids) < batch {
				break
			}
		}
	}
	return removed, nil
}
