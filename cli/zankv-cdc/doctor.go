package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/doctor"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
)

const doctorDescription = `Says for every changefeed and partition that isn't well at which stage it is held back, by which cause, and what to do. Stages:
   owner       no process runs it, or the one that does hangs
   log-read    reading the partition's feed
   decode      decoding, filtering, encoding: the owner's processor
   sink        writing to the sink, apart from what follows
   broker      the broker can't be reached, refuses, or is slow
   quota       a bound holds it back: byte budget, bandwidth, the broker's throttling
   compaction  the log no longer has what comes next, or soon won't

It takes what the workers found themselves, and looks at the moment: whether the nodes and replicas answer, whether each partition has a leader, and
whether the log still has what follows the checkpoint. A note holds nothing back as yet.

Examples:
   zankv-cdc doctor --nodes 10.0.0.1:12382
   zankv-cdc doctor --nodes 10.0.0.1:12382 -c orders --json | jq -r '.findings[] | "\(.changefeed)/\(.partition) \(.stage) \(.code)"'

Exit codes: 0 all is well, 1 something isn't (or an error), 2 a mistake in the command line, 4 no such changefeed, 5 no node answered.`

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "says what holds changefeeds back, and what to do",
		UsageText:   "zankv-cdc doctor --nodes HOST:GRPC[,…] [-c ID] [--json]",
		Description: doctorDescription,
		Flags:       []cli.Flag{nodesFlag(), idFlag("only the changefeed `ID`"), jsonFlag()},
		Action:      runDoctor,
	}
}

func runDoctor(c *cli.Context) error {
	return call(c, func(ctx context.Context, client *admin.Client) error {
		all, err := patients(ctx, c, client)
		if err != nil {
			return err
		}
		asked, _ := addresses(c)
		report := doctor.Run(ctx, asked, all, time.Now)
		if c.Bool("json") {
			err = feeds.JSON(c.App.Writer, report)
		} else {
			err = report.Write(c.App.Writer, time.Now())
		}
		if err == nil && !report.Well {
			err = &failure.Failure{Code: failure.Unhealthy} // the report says it
		}
		return err
	})
}

// patients are the changefeeds to look at.
func patients(ctx context.Context, c *cli.Context, client *admin.Client) ([]feeds.Status, error) {
	if !c.IsSet("changefeed-id") {
		ctx, cancel := within(ctx)
		defer cancel()
		return client.List(ctx, "")
	}
	id, err := changefeedID(c)
	if err != nil {
		return nil, err
	}
	s, err := get(ctx, client, id)
	return []feeds.Status{s}, err
}
