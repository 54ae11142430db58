package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/options"
)

// answerWithin bounds a call: pausing waits for the workers to let go.
const answerWithin = 30 * time.Second

func idFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "changefeed-id", Aliases: []string{"c"}, Usage: usage}
}

func noConfirmFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-confirm", Usage: "don't ask"}
}

const changefeedDescription = `A changefeed carries the changes of a namespace to a sink, by itself: data nodes run it, one of them each partition, and another one goes
on when that dies. It holds back the truncation of the log as far as the nodes' limits allow.

States: normal; warning (something holds it back, and it tries again); paused; failed (it stopped until somebody acts); finished
(it reached --to). query says the reason and what to do; zankv-cdc doctor does for all.

Examples:
   Every change of the namespace default into Kafka, a topic for the namespace:
      zankv-cdc changefeed create --nodes 10.0.0.1:12382 -c orders --sink-uri 'kafka://10.0.0.9:9092/{cluster}.{namespace}'
   How it is doing:
      zankv-cdc changefeed query --nodes 10.0.0.1:12382 -c orders`

func changefeedCommand() *cli.Command {
	return &cli.Command{
		Name:        "changefeed",
		Usage:       "defines, watches and stops changefeeds",
		UsageText:   "zankv-cdc changefeed create|list|query|pause|resume|remove|update|statistics [options]",
		Description: changefeedDescription,
		Subcommands: []*cli.Command{
			createCommand(), listCommand(), queryCommand(), pauseCommand(), resumeCommand(), removeCommand(), updateCommand(), statisticsCommand(),
		},
	}
}

// call checks the options that all have, and calls f with a client.
func call(c *cli.Context, f func(ctx context.Context, client *admin.Client) error) error {
	if err := noArguments(c); err != nil {
		return err
	}
	all, err := addresses(c)
	if err != nil {
		return err
	}
	client, err := admin.Dial(all)
	if err != nil {
		return misused(c, "nodes", err)
	}
	defer client.Close()
	return f(c.Context, client)
}

// within bounds one call to the cluster.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, answerWithin)
}

// changefeedID is the one that -c names.
func changefeedID(c *cli.Context) (string, error) {
	id := c.String("changefeed-id")
	if id == "" {
		return "", failure.Misuse(fmt.Errorf("%s: --changefeed-id (-c) is missing; zankv-cdc changefeed list names all", c.Command.Name))
	}
	if err := changefeed.ValidateID(id); err != nil {
		return "", misused(c, "changefeed-id", err)
	}
	return id, nil
}

// one calls f for the changefeed that -c names, and shows what became of it.
func one(c *cli.Context, f func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error), show func(s *feeds.Status) error) error {
	id, err := changefeedID(c)
	if err != nil {
		return err
	}
	return call(c, func(ctx context.Context, client *admin.Client) error {
		ctx, cancel := within(ctx)
		defer cancel()
		s, err := f(ctx, client, id)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return feeds.JSON(c.App.Writer, feeds.ObjectOf(&s, time.Now()))
		}
		return show(&s)
	})
}

// say prints a line for people.
func say(c *cli.Context, format string, args ...any) error {
	_, err := fmt.Fprintf(c.App.Writer, format+"\n", args...)
	return err
}

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "lists changefeeds, with their states, lags and sinks",
		UsageText: "zankv-cdc changefeed list --nodes HOST:GRPC[,…] [--namespace NAME] [--json]",
		Description: `Without --namespace it lists those of all namespaces. A line has the cause that weighs most, the lag of all partitions (entries summed, time
the worst), and up to which time everything is in the sink.

Example:
   zankv-cdc changefeed list --nodes 10.0.0.1:12382 --json | jq -r '.changefeeds[] | select(.state != "normal") | .id'`,
		Flags: []cli.Flag{nodesFlag(), &cli.StringFlag{Name: "namespace", Usage: "only those of the namespace `NAME`"}, jsonFlag()},
		Action: func(c *cli.Context) error {
			return call(c, func(ctx context.Context, client *admin.Client) error {
				ctx, cancel := within(ctx)
				defer cancel()
				all, err := client.List(ctx, c.String("namespace"))
				if err != nil {
					return err
				}
				if !c.Bool("json") {
					return feeds.List(c.App.Writer, all, time.Now())
				}
				objects := make([]feeds.Object, 0, len(all))
				for i := range all {
					objects = append(objects, feeds.ObjectOf(&all[i], time.Now()))
				}
				return feeds.JSON(c.App.Writer, map[string]any{"changefeeds": objects})
			})
		},
	}
}

func queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "shows a changefeed's definition, state, and each partition's position, lag and owner",
		UsageText: "zankv-cdc changefeed query --nodes HOST:GRPC[,…] -c ID [--json]",
		Description: `A partition's POSITION is its checkpoint: the sink has everything up to there. ENTRIES, BYTES and LAG say what it has yet to write, ETA when it
will have caught up at the present rate ("-": the lag doesn't shrink). Below the table stands what holds a partition back, and what to do.

Example:
   zankv-cdc changefeed query --nodes 10.0.0.1:12382 -c orders --json | jq '.partitions[] | {partition, position, state}'`,
		Flags: []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed"), jsonFlag()},
		Action: func(c *cli.Context) error {
			return one(c, func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
				return client.Get(ctx, id)
			},
				func(s *feeds.Status) error { return feeds.Query(c.App.Writer, s, time.Now()) })
		},
	}
}

func pauseCommand() *cli.Command {
	return &cli.Command{
		Name:      "pause",
		Usage:     "has a changefeed rest, at its checkpoint",
		UsageText: "zankv-cdc changefeed pause --nodes HOST:GRPC[,…] -c ID [--json]",
		Description: `Returns when no process works on it any more. It keeps its place in the log, up to the nodes' limits (wal_consumer_bytes,
wal_consumer_seconds): one that rests longer goes on from its --archive, or from a snapshot of the state.

Example:
   zankv-cdc changefeed pause --nodes 10.0.0.1:12382 -c orders`,
		Flags: []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed"), jsonFlag()},
		Action: func(c *cli.Context) error {
			return one(c, func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
				return client.Pause(ctx, id)
			},
				func(s *feeds.Status) error {
					return say(c, "changefeed %s is paused, and nobody works on it", s.Spec.ID)
				})
		},
	}
}

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name:      "resume",
		Usage:     "has a changefeed run again that is paused, or failed",
		UsageText: "zankv-cdc changefeed resume --nodes HOST:GRPC[,…] -c ID [--json]",
		Description: `It goes on where the sink ends. One that failed fails again, unless its cause was mended.

Example:
   zankv-cdc changefeed resume --nodes 10.0.0.1:12382 -c orders`,
		Flags: []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed"), jsonFlag()},
		Action: func(c *cli.Context) error {
			return one(c, func(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
				return client.Resume(ctx, id)
			},
				func(s *feeds.Status) error {
					return say(c, "changefeed %s runs again; zankv-cdc changefeed query -c %s shows how it is doing", s.Spec.ID, s.Spec.ID)
				})
		},
	}
}

func removeCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "takes a changefeed and its checkpoints away; what its sink has stays",
		UsageText: "zankv-cdc changefeed remove --nodes HOST:GRPC[,…] -c ID [--no-confirm] [--json]",
		Description: `Asks first, on a terminal; elsewhere it wants --no-confirm. The log is no longer kept for it. One that is created again, of the same id and into the
same sink, goes on where the sink ends.

Example:
   zankv-cdc changefeed remove --nodes 10.0.0.1:12382 -c orders --no-confirm`,
		Flags:  []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed"), noConfirmFlag(), jsonFlag()},
		Action: remove,
	}
}

func remove(c *cli.Context) error {
	id, err := changefeedID(c)
	if err != nil {
		return err
	}
	return call(c, func(ctx context.Context, client *admin.Client) error {
		if err := options.Confirm(c, fmt.Sprintf("Remove changefeed %s? Its checkpoints are forgotten; what its sink has stays.", id)); err != nil {
			return err
		}
		ctx, cancel := within(ctx)
		defer cancel()
		if err := client.Remove(ctx, id); err != nil {
			return err
		}
		if c.Bool("json") {
			return feeds.JSON(c.App.Writer, map[string]any{"removed": id})
		}
		return say(c, "changefeed %s is removed", id)
	})
}

// errTooShort: an interval in which nothing could be measured.
var errTooShort = errors.New("want at least 1s")
