// Command zankv-cdc reads the feed of change events.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/tail"
)

// Exit codes.
const (
	exitError     = 1
	exitUsage     = 2
	exitCompacted = 3
)

func main() {
	// A closed pipe is an error of writing, not the end of the process: the output is ended in order.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := newApp(stdout, stderr).RunContext(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "zankv-cdc:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	if problem, ok := errors.AsType[*feed.Error](err); ok && problem.Kind == feed.Compacted {
		fmt.Fprintln(stderr, "zankv-cdc: --from earliest begins with the oldest event left")
		return exitCompacted
	}
	return exitError
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func newApp(stdout, stderr io.Writer) *cli.App {
	usage := func(_ *cli.Context, err error, _ bool) error { return &usageError{err} }
	return &cli.App{
		Name:            "zankv-cdc",
		Usage:           "reads the feed of change events",
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		Commands:        []*cli.Command{tailCommand(usage)},
		OnUsageError:    usage,
		// Nothing but main exits the process.
		ExitErrHandler: func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return &usageError{fmt.Errorf("there is no command %q; see zankv-cdc --help", c.Args().First())}
			}
			return cli.ShowAppHelp(c)
		},
	}
}

const tailDescription = `Prints the committed changes of one partition, in order, one line for each mutation; nothing is skipped or
repeated, also when a node dies and another one goes on. Every event is checked (order, gaps, chain) before it is printed.

Without --follow it ends at the end of the log, as the partition's leader has it. Ctrl-C, and a closed pipe, end it in order.

Examples:
   What partition 0 of the namespace default still has in its log:
      zankv-cdc tail --nodes 10.0.0.1:12382,10.0.0.2:12382 --namespace default --partition 0
   From a position on, and everything that comes after:
      zankv-cdc tail --nodes 10.0.0.1:12382 --partition 0 --from 2-1041 --follow
   Ten events since a time, for people:
      zankv-cdc tail --nodes 10.0.0.1:12382 --from 2026-11-21T10:00:00Z --count 10 --format text
   Which keys of the table users change:
      zankv-cdc tail --nodes 10.0.0.1:12382 --from latest --follow | jq -r 'select(.table == "users") | .key'

Exit codes: 0 done, 1 an error, 2 a mistake in the command line, 3 the position was compacted away on every replica (the
message names the oldest one left).`

func tailCommand(usage cli.OnUsageErrorFunc) *cli.Command {
	return &cli.Command{
		Name:         "tail",
		Usage:        "prints a partition's change events",
		UsageText:    "zankv-cdc tail --nodes HOST:GRPC[,…] [options]",
		Description:  tailDescription,
		OnUsageError: usage,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "nodes", Usage: "`HOST:GRPC[,…]` of any of the cluster's nodes; they name the others (default gRPC port: 12382)"},
			&cli.StringFlag{Name: "namespace", Value: "default", Usage: "`NAME` of the namespace"},
			&cli.UintFlag{Name: "partition", Usage: "`NUMBER` of the partition, from 0"},
			&cli.StringFlag{Name: "from", Value: "earliest", Usage: "where to begin: a `POSITION` (2-1041), earliest, latest, or a time (RFC 3339)"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "wait for more at the end of the log"},
			&cli.Uint64Flag{Name: "count", Aliases: []string{"n"}, Usage: "end after `N` events; 0: don't"},
			&cli.StringFlag{Name: "format", Value: "json", Usage: "json, or text for people"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up when no replica serves for so `LONG`; 0: never (default: 30s, with --follow 0)"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "don't tell, on standard error, of replicas lost and changed"},
		},
		Action: runTail,
	}
}

func runTail(c *cli.Context) error {
	cfg, err := tailConfig(c)
	if err != nil {
		return &usageError{err}
	}
	return tail.Run(c.Context, c.App.Writer, cfg)
}

func tailConfig(c *cli.Context) (tail.Config, error) {
	if c.Args().Present() {
		return tail.Config{}, fmt.Errorf("tail: what is %q? Everything is given by options", c.Args().First())
	}
	if c.Uint("partition") > 1<<32-1 {
		return tail.Config{}, fmt.Errorf("tail: --partition %d: there are not so many", c.Uint("partition"))
	}
	from, err := feed.ParseFrom(c.String("from"))
	if err != nil {
		return tail.Config{}, fmt.Errorf("tail: --from: %w", err)
	}
	format, err := tail.ParseFormat(c.String("format"))
	if err != nil {
		return tail.Config{}, fmt.Errorf("tail: --format: %w", err)
	}
	nodes := splitNodes(c.String("nodes"))
	if len(nodes) == 0 {
		return tail.Config{}, errors.New("tail: --nodes is missing: name at least one node, as 127.0.0.1:12382")
	}
	giveUp := c.Duration("timeout")
	if !c.IsSet("timeout") && !c.Bool("follow") {
		giveUp = 30 * time.Second
	}
	level := slog.LevelWarn
	if c.Bool("quiet") {
		level = slog.LevelError
	}
	logger := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
	return tail.Config{Format: format, Count: c.Uint64("count"), Feed: feed.Config{
		Nodes: nodes, Namespace: c.String("namespace"), Partition: uint32(c.Uint("partition")), From: from, Follow: c.Bool("follow"), GiveUp: giveUp, Logger: logger,
	}}, nil
}

func splitNodes(s string) []string {
	var nodes []string
	for _, node := range strings.Split(s, ",") {
		if node = strings.TrimSpace(node); node != "" {
			nodes = append(nodes, node)
		}
	}
	return nodes
}
