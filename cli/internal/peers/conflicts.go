package peers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
)

// Row is a row of a partition's conflict log: a conflict, or a key that has diverged.
type Row struct {
	Namespace string
	Partition uint32
	RowID     []byte
	Record    *conflict.Record
	Diverged  *conflict.Diverged
}

// ID is what people name it by.
func (r *Row) ID() conflict.ID {
	if r.Record != nil {
		return r.Record.ID
	}
	return r.Diverged.ID
}

// Key is the key that it is about.
func (r *Row) Key() []byte {
	if r.Record != nil {
		return r.Record.Key
	}
	return r.Diverged.Key
}

// page is how many rows are asked for at once: some MiB at the most, with the contents that they show.
const page = 256

// Conflicts gives f the rows of a partition's conflict log that pass the filter, in the log's order, at most limit of them (0: all). It goes
// on behind the last row when the leader changes. f's error ends it.
func (c *Cluster) Conflicts(ctx context.Context, namespace string, number uint32, filter *replaypb.Filter, limit int, f func(*Row) error) error {
	var after []byte
	for given := 0; ; {
		ask := uint32(page)
		if limit > 0 {
			ask = uint32(min(page, limit-given))
		}
		rows, err := c.conflicts(ctx, &replaypb.ListRequest{Namespace: namespace, Partition: number, Filter: filter, After: after, Limit: ask})
		if err != nil {
			return Wrong(fmt.Sprintf("the conflict log of %s-%d", namespace, number), err)
		}
		for _, r := range rows {
			row := &Row{Namespace: namespace, Partition: number, RowID: r.Id}
			if row.Record, row.Diverged, err = conflict.Row(r.Id, r.Value); err != nil {
				return fmt.Errorf("the conflict log of %s-%d: row %x: %w", namespace, number, r.Id, err)
			}
			if err := f(row); err != nil {
				return err
			}
			after = r.Id
		}
		if given += len(rows); len(rows) < int(ask) || limit > 0 && given >= limit {
			return nil
		}
	}
}

func (c *Cluster) conflicts(ctx context.Context, req *replaypb.ListRequest) (rows []*replaypb.Row, err error) {
	err = c.AtLeader(ctx, req.Namespace, req.Partition, func(conn *grpc.ClientConn) error {
		rows = rows[:0]
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := replaypb.NewConflictsClient(conn).List(ctx, req)
		if err != nil {
			return err
		}
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if rows = append(rows, resp.Rows...); len(rows) > int(req.Limit) {
				return fmt.Errorf("it sent %d rows where %d were asked for", len(rows), req.Limit)
			}
		}
	})
	return rows, err
}

// Purge removes rows of a partition's conflict log by their row ids, and says how many were there.
func (c *Cluster) Purge(ctx context.Context, namespace string, number uint32, rowIDs [][]byte) (removed uint64, err error) {
	for len(rowIDs) > 0 {
		some := rowIDs[:min(len(rowIDs), page)]
		rowIDs = rowIDs[len(some):]
		err = c.AtLeader(ctx, namespace, number, func(conn *grpc.ClientConn) error {
			resp, err := replaypb.NewConflictsClient(conn).Purge(ctx, &replaypb.PurgeRequest{Namespace: namespace, Partition: number, Ids: some})
			removed += resp.GetRemoved()
			return err
		})
		if err != nil {
			return removed, Wrong(fmt.Sprintf("removing rows of the conflict log of %s-%d", namespace, number), err)
		}
	}
	return removed, nil
}
