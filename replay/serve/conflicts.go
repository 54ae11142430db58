package serve

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// pageRows is how many rows are read, or removed, at once.
	pageRows = 1024
	// maxTerms bounds what a filter names.
	maxTerms = 10_000
	// idText is the length of a conflict.ID's text.
	idText = 32
	// maxRowID bounds a row's id.
	maxRowID = 256
)

// filter is a Filter that was checked. A term that names nothing passes everything.
type filter struct {
	tables, reasons, sources, ids []string
	keys                          [][]byte
	since, until                  int64
	diverged                      bool
}

// newFilter checks a filter. whole: its ids must be whole, not beginnings.
func newFilter(f *replaypb.Filter, whole bool) (*filter, error) {
	if n := len(f.GetTables()) + len(f.GetKeys()) + len(f.GetReasons()) + len(f.GetSources()) + len(f.GetIds()); n > maxTerms {
		return nil, problem.New(problem.Invalid, "conflicts: a filter of %d terms: want at most %d", n, maxTerms)
	}
	out := &filter{
		tables: f.GetTables(), reasons: f.GetReasons(), sources: f.GetSources(), since: f.GetSince(), until: f.GetUntil(), diverged: f.GetDiverged(),
	}
	for _, pattern := range f.GetKeys() {
		out.keys = append(out.keys, []byte(pattern))
	}
	for _, reason := range out.reasons {
		if !slices.ContainsFunc(conflict.Reasons(), func(r conflict.Reason) bool { return r.String() == reason }) {
			return nil, problem.New(problem.Invalid, "conflicts: reason %.80q: want one of %v", reason, conflict.Reasons())
		}
	}
	for _, id := range f.GetIds() {
		id = strings.ToLower(id)
		if _, err := hex.DecodeString(id + strings.Repeat("0", len(id)%2)); err != nil || id == "" || len(id) > idText || whole && len(id) != idText {
			return nil, problem.New(problem.Invalid, "conflicts: id %.80q: want %d hexadecimal digits", id, idText)
		}
		out.ids = append(out.ids, id)
	}
	return out, nil
}

// pass says whether a row is among those that are asked for. By its id a row of either kind is.
func (f *filter) pass(rec *conflict.Record, d *conflict.Diverged) bool {
	if d != nil {
		return (f.diverged || len(f.ids) > 0) && f.passes(d.ID, d.Key, d.Reason, d.Source, d.FirstAt, d.LastAt)
	}
	return rec != nil && !f.diverged && f.passes(rec.ID, rec.Key, rec.Reason, rec.Source.Cluster, rec.DecidedAt, rec.DecidedAt)
}

// passes looks at what rows of both kinds have; from and to are when it was decided first and last.
func (f *filter) passes(id conflict.ID, key []byte, reason conflict.Reason, source string, from, to int64) bool {
	return (f.since == 0 || to >= f.since) && (f.until == 0 || from <= f.until) &&
		(len(f.reasons) == 0 || slices.Contains(f.reasons, reason.String())) &&
		(len(f.sources) == 0 || slices.Contains(f.sources, source)) &&
		f.passesKey(key) && f.passesID(id)
}

func (f *filter) passesKey(key []byte) bool {
	if len(f.tables) > 0 {
		table, ok := event.Table(key)
		if !ok || !slices.Contains(f.tables, string(table)) {
			return false
		}
	}
	return len(f.keys) == 0 || slices.ContainsFunc(f.keys, func(pattern []byte) bool { return glob.Match(pattern, key) })
}

func (f *filter) passesID(id conflict.ID) bool {
	if len(f.ids) == 0 {
		return true
	}
	text := id.String()
	return slices.ContainsFunc(f.ids, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

// each gives the rows after an id that pass, a page at a time, until there are limit of them (0: no bound) or do fails.
func (t *led) each(ctx context.Context, after []byte, limit uint32, f *filter, do func([]Row) error) error {
	left := int64(limit)
	for {
		most := int64(pageRows)
		if limit > 0 {
			most = min(most, left)
		}
		rows, next, err := t.Conflicts(after, int(most), f.pass)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := do(rows); err != nil {
				return err
			}
		}
		left -= int64(len(rows))
		if next == nil || limit > 0 && left <= 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		after = next
	}
}

// List implements the service.
func (s *Server) List(req *replaypb.ListRequest, stream grpc.ServerStreamingServer[replaypb.ListResponse]) error {
	f, err := newFilter(req.GetFilter(), false)
	if err != nil {
		return s.answer(err)
	}
	if len(req.GetAfter()) > maxRowID {
		return s.answer(problem.New(problem.Invalid, "conflicts: a row id of %d bytes: want at most %d", len(req.GetAfter()), maxRowID))
	}
	t, err := s.leading(req.GetNamespace(), req.GetPartition())
	if err != nil {
		return s.answer(err)
	}
	var lost error // of the stream: the caller knows
	err = t.each(stream.Context(), req.GetAfter(), req.GetLimit(), f, func(rows []Row) error {
		resp := &replaypb.ListResponse{Rows: make([]*replaypb.Row, len(rows))}
		for i, row := range rows {
			resp.Rows[i] = &replaypb.Row{Id: row.ID, Value: row.Value}
		}
		lost = stream.Send(resp)
		return lost
	})
	if lost != nil || stream.Context().Err() != nil {
		return lost
	}
	return s.answer(t.reading(err))
}

// reading names what went wrong when nothing was to be changed.
func (t *led) reading(err error) error {
	if err == nil {
		return nil
	}
	return t.server.elsewhere(t.namespace, t.number, "", "can't read it: "+err.Error())
}

// Purge implements the service.
func (s *Server) Purge(ctx context.Context, req *replaypb.PurgeRequest) (*replaypb.PurgeResponse, error) {
	f, err := newFilter(req.GetFilter(), true)
	if err != nil {
		return nil, s.answer(err)
	}
	for _, id := range req.GetIds() {
		if len(id) == 0 || len(id) > maxRowID {
			return nil, s.answer(problem.New(problem.Invalid, "conflicts: a row id of %d bytes: want 1 to %d", len(id), maxRowID))
		}
	}
	t, err := s.leading(req.GetNamespace(), req.GetPartition())
	if err != nil {
		return nil, s.answer(err)
	}
	resp := &replaypb.PurgeResponse{}
	if len(req.GetIds()) > 0 {
		for ids := range slices.Chunk(req.GetIds(), pageRows) {
			if err := t.purge(ctx, ids, resp); err != nil {
				return nil, s.answer(err)
			}
		}
		return resp, nil
	}
	var failed error // of a removal: whether it took effect may not be known
	err = t.each(ctx, nil, 0, f, func(rows []Row) error {
		ids := make([][]byte, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		failed = t.purge(ctx, ids, resp)
		return failed
	})
	if failed != nil {
		return nil, s.answer(failed)
	}
	if err != nil {
		return nil, s.answer(t.reading(err))
	}
	return resp, nil
}

func (t *led) purge(ctx context.Context, ids [][]byte, resp *replaypb.PurgeResponse) error {
	n, err := t.PurgeConflicts(ctx, ids)
	resp.Removed += uint64(n)
	return t.problem(err)
}
