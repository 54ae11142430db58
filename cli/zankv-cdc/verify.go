package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/verify"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/cli/internal/tail"
	"github.com/zankv/zankv/cli/internal/term"
)

const verifyDescription = `Checks that no event is missing, repeated, out of order or altered: each names the one before it, and a hash chain over all content closes. SOURCE is
   FILE, file:///FILE      what zankv-cdc tail printed, in json or debezium; - is standard input
   file:///FOLDER          what a file:// changefeed wrote
   kafka://BROKER/TOPIC    what a kafka:// changefeed wrote
   zankv://NODE/NAMESPACE  the log of live partitions, all or /PARTITION; or without SOURCE --nodes, --namespace and --partition

Partitions may be mixed. What a stream can't tell by itself is what is missing at its end, and what was before its beginning: --until and --from say
what they have to be. The report gives each partition's last position and chain, which --from takes to check what comes after.

Examples:
   zankv-cdc tail --nodes 10.0.0.1:12382 --partition all | zankv-cdc verify -
   zankv-cdc verify 'kafka://10.0.0.9:9092/dc-a.default' --allow-replays
   zankv-cdc verify --nodes 10.0.0.1:12382 --namespace default --json | jq -r '.partitions[] | "\(.partition) \(.last) \(.chain)"'

Exit codes: 0 all is right, 1 something is wrong or lacks (the report says at which position), or an error, 2 a mistake in the command line,
5 what is to be checked couldn't be reached.`

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:        "verify",
		Usage:       "checks a stream of changes: nothing missing, repeated, reordered or altered",
		UsageText:   "zankv-cdc verify SOURCE [--allow-replays] [--from PLACE] [--until POSITION] [--json]",
		Description: verifyDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "allow-replays", Usage: "take whole repeats, as a reader has them that connected again"},
			&cli.StringFlag{Name: "from", Usage: "the event before the first one: a `PLACE` is a position, with its chain after a colon where that is known (2-1041:9f2c…); 0-0: the log's beginning; of several partitions 0=2-1041,1=2-99"},
			&cli.StringFlag{Name: "until", Usage: "the `POSITION` that it has to reach, with an event or a heartbeat; of several partitions a list"},
			nodesFlag(), namespaceFlag(), partitionsFlag(),
			&cli.StringFlag{Name: "cluster", Usage: "what {cluster} in SOURCE stands for: an `ID`"},
			&cli.StringFlag{Name: "changefeed-id", Aliases: []string{"c"}, Usage: "what {changefeed} in SOURCE stands for: an `ID`"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "don't show progress, on a terminal"}, jsonFlag(),
		},
		Action: runVerify,
	}
}

func runVerify(c *cli.Context) error {
	source, err := verifySource(c)
	if err != nil {
		return err
	}
	o := verify.Options{
		AllowReplays: c.Bool("allow-replays"), Stdin: c.App.Reader, Cluster: c.String("cluster"), Namespace: c.String("namespace"), Changefeed: c.String("changefeed-id"),
	}
	if err := o.Expecting(c.String("from"), c.String("until")); err != nil {
		return failure.Misuse(err)
	}
	shown := term.Is(c.App.ErrWriter) && !c.Bool("quiet") && !c.Bool("json")
	if shown {
		o.Progress = progress(c, sizeOf(source))
	}
	report, err := verify.Run(c.Context, source, o)
	if shown {
		fmt.Fprint(c.App.ErrWriter, term.Line)
	}
	if err != nil {
		return stopped(c.Context, err)
	}
	if c.Bool("json") {
		err = feeds.JSON(c.App.Writer, report)
	} else {
		err = report.WriteText(c.App.Writer)
	}
	if err == nil && !report.OK() {
		err = &failure.Failure{Code: failure.Violation} // the report says it
	}
	return err
}

// stopped says of a check that Ctrl-C ended that it proves nothing.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("verify: it was stopped before the end: nothing is proven")
	}
	return err
}

// verifySource is what to check.
func verifySource(c *cli.Context) (string, error) {
	switch live := c.IsSet("partition") || c.IsSet("nodes"); {
	case c.NArg() > 1:
		return "", failure.Misuse(fmt.Errorf("verify: what is %q? There is one SOURCE, and it is %s", c.Args().Get(1), c.Args().First()))
	case c.NArg() == 1 && live && !fromEnvironment(c):
		return "", failure.Misuse(fmt.Errorf("verify: --nodes and --partition stand for a SOURCE, but there is one: %s", c.Args().First()))
	case c.NArg() == 1:
		return c.Args().First(), nil
	case c.String("nodes") == "":
		return "", failure.Misuse(errors.New("verify: SOURCE is missing: a file, an address, or - for standard input; zankv-cdc verify --help has examples"))
	}
	return liveSource(c)
}

// fromEnvironment says whether --nodes and --partition weren't named on the command line itself.
func fromEnvironment(c *cli.Context) bool {
	return !c.IsSet("partition") && c.String("nodes") == os.Getenv("ZANKV_NODES")
}

// liveSource is the address of live partitions.
func liveSource(c *cli.Context) (string, error) {
	all, err := addresses(c)
	if err != nil {
		return "", err
	}
	numbers, err := tail.ParseNumbers(c.String("partition"))
	if err != nil {
		return "", misused(c, "partition", err)
	}
	source := "zankv://" + strings.Join(all, ",") + "/" + c.String("namespace")
	switch len(numbers) {
	case 0:
		return source, nil
	case 1:
		return fmt.Sprintf("%s/%d", source, numbers[0]), nil
	}
	return "", misused(c, "partition", errors.New("want one partition, or all"))
}

// sizeOf is how much there is to check, 0 if that can't be known beforehand.
func sizeOf(source string) int64 {
	if u, err := url.Parse(source); err == nil && u.Scheme == "file" {
		source = u.Path
	}
	info, err := os.Stat(source)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// progress shows how far a check is, on one line of a terminal.
func progress(c *cli.Context, total int64) func(verify.Progress) {
	return func(p verify.Progress) { fmt.Fprint(c.App.ErrWriter, term.Line, progressText(p, total)) }
}

func progressText(p verify.Progress, total int64) string {
	text := fmt.Sprintf("%s, %d lines, %s/s, %s", table.Bytes(p.Bytes), p.Lines, table.Bytes(p.BytesPerSecond), table.Seconds(p.Elapsed.Round(time.Second).Seconds()))
	if total > 0 && p.BytesPerSecond > 0 {
		left := max(total-p.Bytes, 0)
		text += fmt.Sprintf("; %d %%, done in %s", 100*min(p.Bytes, total)/total, table.Seconds(float64(left)/p.BytesPerSecond))
	}
	return text
}

// optionsFirst moves a command's options before its arguments, which the parser of options wants to stand last: people write "verify FILE --json".
func optionsFirst(app *cli.App, args []string) []string {
	if len(args) < 3 {
		return args
	}
	i := slices.IndexFunc(app.Commands, func(c *cli.Command) bool { return c.HasName(args[1]) })
	if i < 0 || len(app.Commands[i].Subcommands) > 0 {
		return args
	}
	var options, others []string
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		name := strings.TrimLeft(rest[0], "-")
		switch {
		case rest[0] == "--":
			return slices.Concat(args[:2], options, others, rest)
		case name == rest[0] || name == "":
			others = append(others, rest[0])
		default:
			options = append(options, rest[0])
			if len(rest) > 1 && takesValue(app.Commands[i], name) {
				options, rest = append(options, rest[1]), rest[1:]
			}
		}
	}
	return slices.Concat(args[:2], options, others)
}

// takesValue says whether an option's value stands behind it.
func takesValue(c *cli.Command, name string) bool {
	for _, flag := range c.Flags {
		if slices.Contains(flag.Names(), name) {
			_, is := flag.(*cli.BoolFlag)
			return !is
		}
	}
	return false
}
