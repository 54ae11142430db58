package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/conflictlog"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/options"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/table"
)

const conflictsDescription = `The conflict log is kept by the cluster in which a change of another one met something that its origin didn't know: what was stored is "here", what came in
is "there". Each row says what was decided; a key that the two clusters can't bring together by themselves has diverged (--diverged), until it is settled or written as a whole.`

func conflictsCommand() *cli.Command {
	return &cli.Command{
		Name:        "conflicts",
		Usage:       "lists, shows, settles and removes conflicts with other clusters",
		Description: conflictsDescription,
		Subcommands: []*cli.Command{listCommand(), showCommand(), applyCommand(), purgeCommand()},
	}
}

func logFlags(timeout time.Duration, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		nodesFlag("cluster", "`HOST:GRPC[,…]` of the cluster whose conflict log it is"),
		&cli.StringFlag{Name: "namespace", Value: "default", Usage: "`NAME` of the namespace"}, jsonFlag(), timeoutFlag(timeout),
	}, more...)
}

// open gives f the conflict log that the flags name, and the id of its cluster.
func open(c *cli.Context, f func(ctx context.Context, log *conflictlog.Log, cluster string) error) error {
	cluster, err := dial(c, "cluster")
	if err != nil {
		return err
	}
	defer cluster.Close()
	top, err := cluster.Topology(c.Context, c.String("namespace"))
	if err != nil {
		return err
	}
	log := &conflictlog.Log{Cluster: cluster, Namespace: c.String("namespace")}
	if log.Partitions, err = partitions(c, top.Partitions); err != nil {
		return err
	}
	return f(c.Context, log, top.Cluster)
}

// ids are the arguments.
func ids(c *cli.Context) ([]string, error) {
	all := c.Args().Slice()
	for _, id := range all {
		if err := conflictlog.CheckID(id); err != nil {
			return nil, failure.Misuse(fmt.Errorf("%s: %w", c.Command.Name, err))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "lists conflicts, or keys that have diverged",
		UsageText: "zankv-repair conflicts list --cluster HOST:GRPC[,…] [--namespace NAME] [filters] [--diverged] [--json]",
		Description: `Rows come partition by partition, in the order of what came in. With --json each is a line.

Examples:
   zankv-repair conflicts list --cluster 10.1.0.1:12382 --since 24h --table users
   zankv-repair conflicts list --cluster 10.1.0.1:12382 --diverged
   zankv-repair conflicts list --cluster 10.1.0.1:12382 --limit 0 --json | jq -r 'select(.action=="overwrite") | [.key,.here.value] | @tsv'`,
		Flags:  append(logFlags(time.Minute, filterFlags()...), &cli.IntFlag{Name: "limit", Value: 1000, Usage: "show at most this `NUMBER` of rows; 0 is all"}),
		Action: listConflicts,
	}
}

func listConflicts(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	f, err := filter(c)
	if err != nil {
		return err
	}
	limit := c.Int("limit")
	if limit < 0 {
		return misused(c, "limit", errors.New("want a number from 0 on"))
	}
	return open(c, func(ctx context.Context, log *conflictlog.Log, cluster string) error {
		if c.Bool("json") {
			return log.Each(ctx, f, limit, func(r *peers.Row) error { return conflictlog.JSON(c.App.Writer, r) })
		}
		return listTable(c, log, cluster, func(each func(*peers.Row) error) error { return log.Each(ctx, f, limit, each) })
	})
}

// tableRows is how many rows share the widths of their columns: a longer list is several tables, so that it is never held as a whole.
const tableRows = 1000

func listTable(c *cli.Context, log *conflictlog.Log, cluster string, all func(each func(*peers.Row) error) error) error {
	var rows []*peers.Row
	total := 0
	flush := func() error {
		defer func() { rows = rows[:0] }()
		return conflictlog.Table(c.App.Writer, rows, c.Bool("diverged"))
	}
	err := all(func(r *peers.Row) error {
		rows = append(rows, r)
		if total++; len(rows) < tableRows {
			return nil
		}
		return flush()
	})
	if err == nil && len(rows) > 0 {
		err = flush()
	}
	if err != nil {
		return err
	}
	noun := "conflict"
	if c.Bool("diverged") {
		noun = "diverged key"
	}
	text := fmt.Sprintf("%s in namespace %s of cluster %s", table.Count(total, noun), log.Namespace, cluster)
	if limit := c.Int("limit"); limit > 0 && total >= limit {
		text += "; there may be more: --limit 0 shows all"
	}
	_, err = fmt.Fprintln(c.App.Writer, text)
	return err
}

func showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "shows all there is of a conflict",
		UsageText: "zankv-repair conflicts show ID… --cluster HOST:GRPC[,…] [--namespace NAME] [--json]",
		Description: `Shows both sides: values (base64 where they aren't text, size and SHA-256 where they were larger than conflict_content_bytes), versions, positions, clusters, and by
which rule what was decided. ID is what list shows, or the first 6 or more digits of it.

Example:
   zankv-repair conflicts show 3f2a9c01d4e8 --cluster 10.1.0.1:12382`,
		Flags: logFlags(time.Minute),
		Action: func(c *cli.Context) error {
			named, err := ids(c)
			if err == nil && len(named) == 0 {
				err = failure.Misuse(errors.New("show: which one? Name an id, as conflicts list shows it"))
			}
			if err != nil {
				return err
			}
			return open(c, func(ctx context.Context, log *conflictlog.Log, cluster string) error {
				rows, err := log.Find(ctx, named)
				if err != nil {
					return err
				}
				return showRows(c, rows, cluster)
			})
		},
	}
}

func showRows(c *cli.Context, rows []*peers.Row, cluster string) error {
	for i, r := range rows {
		if c.Bool("json") {
			if err := conflictlog.JSON(c.App.Writer, r); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(c.App.Writer)
		}
		if err := conflictlog.Show(c.App.Writer, r, cluster); err != nil {
			return err
		}
	}
	return nil
}

func purgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "purge",
		Usage:     "removes rows of the conflict log",
		UsageText: "zankv-repair conflicts purge [ID… | filters | --all] --cluster HOST:GRPC[,…] [--namespace NAME] [--dry-run] [--no-confirm] [--json]",
		Description: `Removes the rows that are named, or that pass the filters; no key is changed. With --diverged it forgets that keys have diverged, which doesn't bring them together:
conflicts apply does. It counts first, and asks.

Examples:
   zankv-repair conflicts purge --cluster 10.1.0.1:12382 --until 168h --dry-run
   zankv-repair conflicts purge 3f2a9c01d4e8 --cluster 10.1.0.1:12382 --no-confirm`,
		Flags: append(logFlags(10*time.Minute, filterFlags()...), &cli.BoolFlag{Name: "all", Usage: "every row; with --diverged, every diverged key"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only count"}, &cli.BoolFlag{Name: "no-confirm", Usage: "don't ask"}),
		Action: purge,
	}
}

func purge(c *cli.Context) error {
	named, err := ids(c)
	if err != nil {
		return err
	}
	f, err := filter(c)
	if err != nil {
		return err
	}
	switch chosen := filtered(c); {
	case len(named) > 0 && (chosen || c.Bool("diverged") || c.Bool("all")):
		return failure.Misuse(errors.New("purge: name rows by their ids, or by filters, not by both"))
	case len(named) == 0 && !c.Bool("all") && !chosen:
		return failure.Misuse(errors.New("purge: which rows? Name ids, give a filter, or --all"))
	}
	return open(c, func(ctx context.Context, log *conflictlog.Log, cluster string) error {
		if len(named) > 0 {
			rows, err := log.Find(ctx, named)
			if err != nil {
				return err
			}
			return purgeAfter(c, cluster, len(rows), "row", func() (uint64, error) { return log.Purge(ctx, rows) })
		}
		count := 0
		if err := log.Each(ctx, f, 0, func(*peers.Row) error { count++; return nil }); err != nil {
			return err
		}
		noun := "row"
		if f.Diverged {
			noun = "record of a diverged key"
		}
		return purgeAfter(c, cluster, count, noun, func() (uint64, error) { return log.PurgeAll(ctx, f) })
	})
}

// purgeAfter removes what was counted, when that is confirmed.
func purgeAfter(c *cli.Context, cluster string, count int, noun string, remove func() (uint64, error)) error {
	counted := table.Count(count, noun)
	if noun == "record of a diverged key" && count != 1 {
		counted = fmt.Sprintf("%d records of diverged keys", count)
	}
	if c.Bool("dry-run") {
		if c.Bool("json") {
			return feeds.JSONLine(c.App.Writer, map[string]any{"would_remove": count})
		}
		_, err := fmt.Fprintf(c.App.Writer, "would remove %s of the conflict log of cluster %s\n", counted, cluster)
		return err
	}
	if count > 0 {
		if err := options.Confirm(c, fmt.Sprintf("Remove %s of the conflict log of namespace %s of cluster %s? What they show can't be had again.", counted, c.String("namespace"), cluster)); err != nil {
			return err
		}
	}
	removed := uint64(0)
	if count > 0 {
		var err error
		if removed, err = remove(); err != nil {
			return fmt.Errorf("%w (%d were removed before)", err, removed)
		}
	}
	if c.Bool("json") {
		return feeds.JSONLine(c.App.Writer, map[string]any{"removed": removed})
	}
	_, err := fmt.Fprintf(c.App.Writer, "removed %s\n", table.Count(removed, "row"))
	return err
}
