package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/tail"
)

const tailDescription = `Prints the committed changes of partitions of a namespace, each in order, one line for each mutation; nothing is skipped or
repeated, also when a node dies and another one goes on. Every event is checked (order, gaps, chain) before it is printed.

Without --follow it ends at the end of the log, as each partition's leader has it, and several partitions are printed in the order of their
events' times. With --follow they are printed as they come; an idle partition reaches a time that --until names ten seconds after it, by its
server's clock. Ctrl-C, and a closed pipe, end it in order.

Filters leave out mutations. In JSON their digests stay, so that zankv-cdc verify can still prove the rest whole; --no-digests leaves nothing.

Examples:
   What partition 0 of the namespace default still has in its log:
      zankv-cdc tail --nodes 10.0.0.1:12382,10.0.0.2:12382 --namespace default --partition 0
   From a position on, and everything that comes after:
      zankv-cdc tail --nodes 10.0.0.1:12382 --partition 0 --from 2-1041 --follow
   All partitions of an hour, checked once more:
      zankv-cdc tail --nodes 10.0.0.1:12382 --partition all --from 2026-11-21T10:00:00Z --until 2026-11-21T11:00:00Z | zankv-cdc verify -
   Ten events since a time, for people:
      zankv-cdc tail --nodes 10.0.0.1:12382 --from 2026-11-21T10:00:00Z --count 10 --format text
   Which keys of the table users are deleted:
      zankv-cdc tail --nodes 10.0.0.1:12382 --partition all --from latest --follow --table users --op del,expire --no-digests | jq -r .key

Exit codes: 0 done, 1 an error, 2 a mistake in the command line, 3 the position was compacted away on every replica (the
message names the oldest one left), 4 there is no such namespace or partition, 5 no node answered.`

func tailCommand() *cli.Command {
	flags := []cli.Flag{
		nodesFlag(),
		namespaceFlag(),
		&cli.StringFlag{Name: "partition", Value: "0", Usage: "`NUMBERS` of the partitions, from 0, separated by commas; or all"},
		&cli.StringFlag{Name: "from", Value: "earliest",
			Usage: "where to begin: a `PLACE` is a position (2-1041), earliest, latest, or a time (RFC 3339); of several partitions 0=2-1041,1=2-99"},
		&cli.StringFlag{Name: "until", Usage: "where to end: a `PLACE` is a position, which is printed, or a time, of which nothing is; of several partitions a list"},
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "wait for more at the end of the log"},
		&cli.Uint64Flag{Name: "count", Aliases: []string{"n"}, Usage: "end after `N` events that are shown; 0: don't"},
	}
	flags = append(flags, filterFlags()...)
	flags = append(flags,
		&cli.BoolFlag{Name: "no-digests", Usage: "leave nothing of what is filtered out"},
		&cli.StringFlag{Name: "format", Value: "json", Usage: "`FORMAT` is json, debezium, or text for people"},
		&cli.BoolFlag{Name: "heartbeats", Usage: "with --follow, print how far an idle partition is, so that the end can be proven (not in text)"},
		&cli.DurationFlag{Name: "timeout", DefaultText: "30s, with --follow 0", Usage: "give up when no replica serves for so `LONG`; 0: never"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "don't tell, on standard error, of replicas lost and changed"},
		&cli.BoolFlag{Name: "json", Usage: "print errors and warnings as JSON, on standard error"})
	return &cli.Command{
		Name:        "tail",
		Usage:       "prints partitions' change events",
		UsageText:   "zankv-cdc tail --nodes HOST:GRPC[,…] [options]",
		Description: tailDescription,
		Flags:       flags,
		Action:      runTail,
	}
}

func runTail(c *cli.Context) error {
	cfg, p, err := tailConfig(c)
	if err != nil {
		return err
	}
	if err := p.find(c, &cfg); err != nil {
		return err
	}
	return tail.Run(c.Context, c.App.Writer, cfg)
}

// tailFormat reads how events are to be printed.
func tailFormat(c *cli.Context, p *places) (func() tail.Format, error) {
	if err := tail.CheckFormat(c.String("format")); err != nil {
		return nil, misused(c, "format", err)
	}
	f, err := filter(c)
	if err != nil {
		return nil, err
	}
	format, err := tail.NewFormat(tail.Options{Format: c.String("format"), Filter: f, Digests: !c.Bool("no-digests"), Prefixed: len(p.numbers) != 1})
	if err != nil {
		return nil, failure.Misuse(fmt.Errorf("tail: %w", err))
	}
	return format, nil
}

// places are the partitions to print, as the command line names them.
type places struct {
	numbers     tail.Numbers
	from, until tail.Places
}

// find has the nodes say which partitions there are, if all are wanted.
func (p *places) find(c *cli.Context, cfg *tail.Config) (err error) {
	if p.numbers == nil {
		all, err := nodes.Partitions(c.Context, cfg.Feed.Nodes, cfg.Feed.Namespace)
		if err != nil {
			return err
		}
		for _, partition := range all {
			p.numbers = append(p.numbers, partition.Number)
		}
		if err := tail.Fits(p.numbers, p.from, p.until); err != nil {
			return failure.Misuse(fmt.Errorf("tail: %w", err))
		}
	}
	cfg.Partitions, err = tail.Place(p.numbers, p.from, p.until)
	return err
}

func tailConfig(c *cli.Context) (cfg tail.Config, p places, err error) {
	if err := noArguments(c); err != nil {
		return cfg, p, err
	}
	if p, err = tailPlaces(c); err != nil {
		return cfg, p, err
	}
	if cfg.Format, err = tailFormat(c, &p); err != nil {
		return cfg, p, err
	}
	if c.Bool("heartbeats") && !c.Bool("follow") {
		return cfg, p, misused(c, "heartbeats", errors.New("they come while it follows: add --follow"))
	}
	all, err := addresses(c)
	if err != nil {
		return cfg, p, err
	}
	giveUp := c.Duration("timeout")
	if !c.IsSet("timeout") && !c.Bool("follow") {
		giveUp = 30 * time.Second
	}
	level := slog.LevelWarn
	if c.Bool("quiet") {
		level = slog.LevelError
	}
	var handler slog.Handler = slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level})
	if c.Bool("json") {
		handler = slog.NewJSONHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level})
	}
	cfg.Count, cfg.Heartbeats = c.Uint64("count"), c.Bool("heartbeats")
	cfg.Feed = feed.Config{Nodes: all, Namespace: c.String("namespace"), Follow: c.Bool("follow"), GiveUp: giveUp, Logger: slog.New(handler)}
	return cfg, p, nil
}

func tailPlaces(c *cli.Context) (p places, err error) {
	if p.numbers, err = tail.ParseNumbers(c.String("partition")); err != nil {
		return p, misused(c, "partition", err)
	}
	if p.from, err = tail.ParsePlaces(c.String("from"), tail.CheckFrom); err != nil {
		return p, misused(c, "from", err)
	}
	if p.until, err = tail.ParsePlaces(c.String("until"), tail.CheckUntil); err != nil {
		return p, misused(c, "until", err)
	}
	if err := tail.Fits(p.numbers, p.from, p.until); err != nil {
		return p, failure.Misuse(fmt.Errorf("tail: %w", err))
	}
	return p, nil
}
