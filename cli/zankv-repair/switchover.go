package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/switchover"
)

func switchFlags(timeout time.Duration, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		nodesFlag("to", "`HOST:GRPC[,…]` of the cluster that clients shall write to"),
		&cli.StringSliceFlag{Name: "namespace", Usage: "only these namespaces: `NAMES`, separated by commas (default: all)"},
		&cli.StringFlag{Name: "state", Usage: "the `FILE` in which its state is kept (default: in the working directory, named by the clusters)"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only check, and say what would be done"},
		&cli.BoolFlag{Name: "force", Usage: "go on where it refuses: it says on what then"},
		jsonFlag(), timeoutFlag(timeout),
	}, more...)
}

func switchoverCommand() *cli.Command {
	return &cli.Command{
		Name:      "switchover",
		Usage:     "has clients write to another cluster, when both are well: nothing is lost",
		UsageText: "zankv-repair switchover --from HOST:GRPC[,…] --to HOST:GRPC[,…] [--namespace a,b] [--state FILE] [--dry-run] [--abort] [--json]",
		Description: `Steps, each of which is checked before the next:
   check        both are well, their clocks agree, a syncer carries changes from the one to the other
   stop-writes  clients can't write to --from any more; reads go on. The positions are noted
   catch-up     until --to has everything up to there
   verify       the checksums of every hash slot agree
   stop-feed    what carries changes from --from to --to is paused
   adopt        what carries changes back begins at the present positions of --to: no full sync
   reverse      it runs: changefeeds that are defined are resumed; otherwise it says which zankv-cdc sync to start, and waits for it
   open         clients can write to --to

Each step is noted in a file: whenever it ended, the same command goes on where it was. Up to the last step, --abort goes back: clients write to --from as before.

Examples:
   zankv-repair switchover --from 10.1.0.1:12382 --to 10.2.0.1:12382 --dry-run
   zankv-repair switchover --from 10.1.0.1:12382,10.1.0.2:12382 --to 10.2.0.1:12382,10.2.0.2:12382
   zankv-repair switchover --from 10.1.0.1:12382 --to 10.2.0.1:12382 --abort

Exit codes: 0 done, 1 a step failed, 2 a mistake in the command line, 3 refused: it isn't safe as things are, 4 no such namespace, 5 somebody didn't answer, or not in time,
6 another run is under way. The error says how things stand, how to go on, and how to go back.`,
		Flags: switchFlags(10*time.Minute,
			nodesFlag("from", "`HOST:GRPC[,…]` of the cluster that clients write to now"),
			&cli.DurationFlag{Name: "max-lag", Value: time.Minute, Usage: "how far --to may be behind at the beginning: about as long nobody can write"},
			&cli.BoolFlag{Name: "abort", Usage: "take back what was done, before --to was opened"},
			&cli.BoolFlag{Name: "no-reverse", Usage: "don't wait for what carries changes back"}),
		Action: runSwitchover,
	}
}

func runSwitchover(c *cli.Context) error {
	o, err := switchOptions(c)
	if err != nil {
		return err
	}
	defer o.To.Close()
	if o.From, err = dial(c, "from"); err != nil {
		return err
	}
	defer o.From.Close()
	o.MaxLag, o.NoReverse = c.Duration("max-lag"), c.Bool("no-reverse")
	equality, err := switchover.Checksums(o.From.Nodes(), o.To.Nodes())
	if err != nil {
		return err
	}
	defer equality.Close()
	o.Equality = equality
	return carryOut(c, o, switchover.Plan, c.Bool("abort"))
}

func failoverCommand() *cli.Command {
	return &cli.Command{
		Name:      "failover",
		Usage:     "has clients write to another cluster, when theirs is dead: what it acknowledged last may be missing, and is known",
		UsageText: "zankv-repair failover --to HOST:GRPC[,…] [--from ID] [--from-nodes HOST:GRPC[,…]] [--namespace a,b] [--state FILE] [--report FILE] [--dry-run] [--force] [--json]",
		Description: `Steps, each of which is checked before the next:
   check   --to is well; the dead cluster is dead: nothing comes from it, and --from-nodes, if they are named, don't answer
   record  what --to has of it, and where --to itself is, is written into a report (JSON and text): what the dead cluster holds beyond that is what was lost
   open    clients can write to --to

The report says what to do when the dead cluster is back. Each step is noted in a file: whenever it ended, the same command goes on where it was.

Examples:
   zankv-repair failover --to 10.2.0.1:12382,10.2.0.2:12382 --from-nodes 10.1.0.1:12382 --dry-run
   zankv-repair failover --to 10.2.0.1:12382 --from dc-a

Exit codes: 0 done, 1 a step failed, 2 a mistake in the command line, 3 refused: the cluster isn't dead, 4 nothing came from such a cluster, 5 --to didn't answer, or not in time, 6 another
run is under way.`,
		Flags: switchFlags(2*time.Minute,
			&cli.StringFlag{Name: "from", Usage: "cluster `ID` of the one that is dead (default: the only one that --to knows)"},
			nodesFlag("from-nodes", "`HOST:GRPC[,…]` of the dead cluster: if one answers, it isn't dead"),
			&cli.StringFlag{Name: "report", Usage: "write the report to `FILE`.json and FILE.txt (default: beside the state)"}),
		Action: runFailover,
	}
}

func runFailover(c *cli.Context) error {
	o, err := switchOptions(c)
	if err != nil {
		return err
	}
	defer o.To.Close()
	o.FromID, o.Report = c.String("from"), c.String("report")
	if c.IsSet("from-nodes") {
		if o.From, err = dial(c, "from-nodes"); err != nil {
			return err
		}
		defer o.From.Close()
	}
	return carryOut(c, o, switchover.Unplanned, false)
}

func switchOptions(c *cli.Context) (o switchover.Options, err error) {
	if err := noArguments(c); err != nil {
		return o, err
	}
	o = switchover.Options{File: c.String("state"), DryRun: c.Bool("dry-run"), Force: c.Bool("force")}
	for _, names := range c.StringSlice("namespace") {
		o.Namespaces = append(o.Namespaces, nodes.Split(names)...)
	}
	slices.Sort(o.Namespaces)
	o.Namespaces = slices.Compact(o.Namespaces)
	if c.IsSet("namespace") && len(o.Namespaces) == 0 {
		return o, misused(c, "namespace", fmt.Errorf("names nothing"))
	}
	o.To, err = dial(c, "to")
	return o, err
}

type planner func(context.Context, switchover.Options) (*switchover.Run, bool, error)

func carryOut(c *cli.Context, o switchover.Options, plan planner, abort bool) error {
	p := &switchover.Printer{Out: c.App.Writer, Progress: c.App.ErrWriter, JSON: c.Bool("json")}
	o.Say = p.Say
	r, done, err := plan(c.Context, o)
	if err != nil {
		return err
	}
	defer r.Close()
	p.Steps = r.Steps()
	switch {
	case abort && !r.Begun():
		return failure.New(failure.NotFound, "see --state", "there is nothing to take back: %s doesn't say that a switch was begun", r.Options.File)
	case abort:
		return r.Abort(c.Context)
	case done:
		p.Say(switchover.Line{State: switchover.Finished, Message: "it was done at " + r.State().Finished + ", see " + r.Options.File})
		return nil
	}
	return r.Do(c.Context)
}
