package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/amend"
	"github.com/zankv/zankv/cli/internal/conflictlog"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/peers"
)

func applyCommand() *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "settles a conflict: writes what one side has, as a new change that goes to the other cluster like any other",
		UsageText: "zankv-repair conflicts apply ID --side here|there --cluster HOST:GRPC[,…] [--namespace NAME] [--other HOST:GRPC[,…]] [--force] [--dry-run] [--json]",
		Description: `"here" is what the cluster of the conflict log had stored, "there" what came in. A string, field, member or expiry is written by its own command, with what the row shows.
A key that has diverged, and what was held back of one, is written as a whole, as it is now in the cluster that is chosen (DUMP and RESTORE): "there" then needs --other, the cluster that
it came from. So does a side of which the row has only a digest.

It refuses when the key has been changed since the conflict, and when that happens at the same moment; --force writes what was chosen all the same. What stands there
already isn't written again. When it is done, the row is removed.

Examples:
   zankv-repair conflicts apply 3f2a9c01d4e8 --side here --cluster 10.1.0.1:12382 --dry-run
   zankv-repair conflicts apply 91bd00c7a1f2 --side there --cluster 10.1.0.1:12382 --other 10.2.0.1:12382`,
		Flags: logFlags(time.Minute,
			&cli.StringFlag{Name: "side", Usage: "`here` or there: whose content it shall be"},
			nodesFlag("other", "`HOST:GRPC[,…]` of the cluster that the change came from"),
			&cli.BoolFlag{Name: "force", Usage: "write, whatever has become of the key since"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only show what would be written"},
			&cli.StringFlag{Name: "password", EnvVars: []string{"ZANKV_PASSWORD"}, Usage: "the namespace's `PASSWORD`, if it has one"}),
		Action: apply,
	}
}

func apply(c *cli.Context) error {
	named, err := ids(c)
	if err == nil && len(named) != 1 {
		err = failure.Misuse(errors.New("apply: name one id, as conflicts list shows it"))
	}
	if err != nil {
		return err
	}
	side, ok := map[string]amend.Side{"here": amend.Here, "there": amend.There}[c.String("side")]
	if !ok {
		return misused(c, "side", fmt.Errorf("%q is no side: want here or there", c.String("side")))
	}
	return open(c, func(ctx context.Context, log *conflictlog.Log, _ string) error {
		rows, err := log.Find(ctx, named)
		if err != nil {
			return err
		}
		return applyRow(ctx, c, log, rows[0], side)
	})
}

func applyRow(ctx context.Context, c *cli.Context, log *conflictlog.Log, row *peers.Row, side amend.Side) error {
	here, err := log.Cluster.Redis(ctx, log.Namespace, c.String("password"))
	if err != nil {
		return err
	}
	defer here.Close()
	o := amend.Options{Row: row, Side: side, Here: here, Force: c.Bool("force"), DryRun: c.Bool("dry-run")}
	if c.IsSet("other") {
		var there *redis.Client
		defer func() {
			if there != nil {
				there.Close()
			}
		}()
		o.Other = func(ctx context.Context) (_ *redis.Client, err error) {
			if there == nil {
				there, err = other(ctx, c, row)
			}
			return there, err
		}
	}
	result, err := amend.Apply(ctx, o)
	if err != nil {
		return err
	}
	purged := uint64(0)
	if !o.DryRun {
		if purged, err = log.Purge(ctx, []*peers.Row{row}); err != nil {
			return fmt.Errorf("it is written, but its row is still there: %w", err)
		}
	}
	return showApplied(c, row, result, purged)
}

// other opens the cluster that a row's change came from, and refuses any other one.
func other(ctx context.Context, c *cli.Context, row *peers.Row) (*redis.Client, error) {
	cluster, err := dial(c, "other")
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	top, err := cluster.Topology(ctx, row.Namespace)
	if err != nil {
		return nil, fmt.Errorf("--other: %w", err)
	}
	if source := source(row); top.Cluster != source {
		return nil, failure.New(failure.Invalid, "name nodes of "+source, "--other is cluster %s, but this came from %s", top.Cluster, source)
	}
	return cluster.Redis(ctx, row.Namespace, c.String("password"))
}

func source(row *peers.Row) string {
	if row.Diverged != nil {
		return row.Diverged.Source
	}
	return row.Record.Source.Cluster
}

func showApplied(c *cli.Context, row *peers.Row, r *amend.Result, purged uint64) error {
	if c.Bool("json") {
		commands := [][]string{}
		for _, cmd := range []*amend.Command{r.Made, r.Command} {
			if cmd != nil {
				commands = append(commands, cmd.Words())
			}
		}
		return feeds.JSONLine(c.App.Writer, map[string]any{"id": row.ID().String(), "commands": commands, "written": r.Written, "purged": purged})
	}
	var said []string
	switch {
	case r.Command == nil:
		said = append(said, "nothing to write: that is what the key has")
	case r.Written:
		said = append(said, "wrote "+written(r))
	default:
		said = append(said, "would write "+written(r))
	}
	if purged > 0 {
		said = append(said, "the row is removed from the conflict log")
	}
	_, err := fmt.Fprintln(c.App.Writer, strings.Join(said, "\n"))
	return err
}

func written(r *amend.Result) string {
	if r.Made == nil {
		return r.Command.String()
	}
	return fmt.Sprintf("%s and %s, in one transaction: a removal that the other cluster hears of", r.Made, r.Command)
}
