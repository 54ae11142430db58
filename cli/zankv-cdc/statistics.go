package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/term"
)

func statisticsCommand() *cli.Command {
	return &cli.Command{
		Name:      "statistics",
		Usage:     "measures a changefeed's rates over an interval",
		UsageText: "zankv-cdc changefeed statistics --nodes HOST:GRPC[,…] -c ID [--interval 10s] [--watch] [--json]",
		Description: `Looks twice, an interval apart, and shows what each partition did meanwhile. Workers report every 5 seconds: shorter intervals show what they
reported themselves. With --watch it goes on until Ctrl-C; on a terminal each picture takes the place of the one before, and with --json each is a line.

Example:
   zankv-cdc changefeed statistics --nodes 10.0.0.1:12382 -c orders --watch`,
		Flags: []cli.Flag{
			nodesFlag(), idFlag("`ID` of the changefeed"), &cli.DurationFlag{Name: "interval", Aliases: []string{"i"}, Value: 10 * time.Second, Usage: "`TIME` between two looks"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on"}, jsonFlag(),
		},
		Action: statistics,
	}
}

func statistics(c *cli.Context) error {
	id, err := changefeedID(c)
	if err != nil {
		return err
	}
	if c.Duration("interval") < time.Second {
		return misused(c, "interval", errTooShort)
	}
	return call(c, func(ctx context.Context, client *admin.Client) error {
		before, err := get(ctx, client, id)
		if err != nil {
			return err
		}
		tick := time.NewTicker(c.Duration("interval"))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			after, err := get(ctx, client, id)
			if err != nil {
				return unlessEnded(ctx, err)
			}
			if err := showStatistics(c, &before, &after); err != nil || !c.Bool("watch") {
				return err
			}
			before = after
		}
	})
}

// unlessEnded forgets an error of what Ctrl-C ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func showStatistics(c *cli.Context, before, after *feeds.Status) error {
	now := time.Now()
	rates := feeds.RatesOf(before, after, now)
	if c.Bool("json") {
		return feeds.JSONLine(c.App.Writer, map[string]any{"id": after.Spec.ID, "state": feeds.State(after, feeds.Standings(after, now)), "time": now.UnixNano(), "partitions": rates})
	}
	if c.Bool("watch") && term.Is(c.App.Writer) {
		fmt.Fprint(c.App.Writer, term.Clear)
	}
	return feeds.Statistics(c.App.Writer, after, rates, now)
}
