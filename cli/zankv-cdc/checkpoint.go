package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/tail"
)

func checkpointCommand() *cli.Command {
	return &cli.Command{
		Name:      "checkpoint",
		Usage:     "shows and sets how far a changefeed is",
		UsageText: "zankv-cdc checkpoint show|set [options]",
		Description: `A checkpoint is a position up to which the sink has everything durably. When a worker begins, what the sink itself says of its end wins
over the checkpoint, unless that was set by hand.`,
		Subcommands: []*cli.Command{checkpointShowCommand(), checkpointSetCommand()},
	}
}

func checkpointShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "shows each partition's checkpoint",
		UsageText: "zankv-cdc checkpoint show --nodes HOST:GRPC[,…] -c ID [--json]",
		Description: `TIME is that of the events: everything before it is in the sink. SAVED is when the checkpoint was written. CHAIN is the hash chain
there: a copy that has another one at that position isn't of this stream.

Example:
   zankv-cdc checkpoint show --nodes 10.0.0.1:12382 -c orders`,
		Flags: []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed"), jsonFlag()},
		Action: func(c *cli.Context) error {
			return one(c, func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
				return client.Get(ctx, id)
			},
				func(s *feeds.Status) error { return feeds.Checkpoints(c.App.Writer, s, time.Now()) })
		},
	}
}

func checkpointSetCommand() *cli.Command {
	return &cli.Command{
		Name:      "set",
		Usage:     "moves partitions of a paused changefeed to another place",
		UsageText: "zankv-cdc checkpoint set --nodes HOST:GRPC[,…] -c ID --partition NUMBERS --position PLACE [--json]",
		Description: `The changefeed goes on after the place when it is resumed, whatever its sink has: events are repeated if that is back, and left out if it is
ahead. Only a paused changefeed's can be set. The position must be one that a replica still has; --unchecked takes it unseen (it goes on from
the archive, or from a snapshot, if the log has it no more).

Examples:
   Send everything after 2-1041 again:
      zankv-cdc checkpoint set --nodes 10.0.0.1:12382 -c orders --partition 0 --position 2-1041
   Leave out what is yet to be sent, in all partitions:
      zankv-cdc checkpoint set --nodes 10.0.0.1:12382 -c orders --partition all --position latest`,
		Flags: []cli.Flag{
			nodesFlag(), idFlag("`ID` of the changefeed"), &cli.StringFlag{Name: "partition", Usage: "`NUMBERS` of the partitions, separated by commas; or all"},
			&cli.StringFlag{Name: "position", Usage: "a `PLACE` is a position (2-1041), earliest, latest, or a time (RFC 3339); of several partitions 0=2-1041,1=2-99"},
			&cli.BoolFlag{Name: "unchecked", Usage: "don't ask the partition whether it has the position"}, jsonFlag(),
		},
		Action: setCheckpoint,
	}
}

func setCheckpoint(c *cli.Context) error {
	at, err := checkpoint(c)
	if err != nil {
		return err
	}
	return one(c, func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
		return client.SetCheckpoint(ctx, id, at)
	},
		func(s *feeds.Status) error {
			if err := feeds.Checkpoints(c.App.Writer, s, time.Now()); err != nil {
				return err
			}
			return say(c, "it goes on from there when it is resumed: zankv-cdc changefeed resume -c %s", s.Spec.ID)
		})
}

// checkpoint reads which partitions to set, and to what.
func checkpoint(c *cli.Context) (at admin.Checkpoint, err error) {
	place := strings.TrimSpace(c.String("position"))
	if place == "" {
		return at, misused(c, "position", errors.New("is missing: say where to go on after, as 2-1041"))
	}
	if listed := strings.Contains(place, "="); listed == c.IsSet("partition") {
		return at, misused(c, "partition", errors.New("name the partitions to set, or all; not if --position is a list that names them"))
	}
	var numbers tail.Numbers
	if c.IsSet("partition") {
		if numbers, err = tail.ParseNumbers(c.String("partition")); err != nil {
			return at, misused(c, "partition", err)
		}
	}
	places, err := tail.ParsePlaces(place, tail.CheckFrom)
	if err != nil {
		return at, misused(c, "position", err)
	}
	if c.IsSet("partition") {
		err = places.Fit(numbers)
	}
	if err != nil {
		return at, misused(c, "position", err)
	}
	return admin.Checkpoint{Partitions: numbers, At: place, Unchecked: c.Bool("unchecked")}, nil
}
