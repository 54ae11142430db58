// Command zankv-cdc reads the feed of change events, and runs changefeeds: where they are defined, watched, checked and mended. It carries one cluster's changes into another.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
)

func main() {
	// A closed pipe is an error of writing, not the end of the process: the output is ended in order.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code. Results go to stdout; errors, warnings, questions and progress to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	err := app.RunContext(ctx, optionsFirst(app, args))
	if err == nil {
		return 0
	}
	f := failure.Of(err)
	switch {
	case f.Message == "": // all was said
	case slices.Contains(args, "--json") || slices.Contains(args, "-json"):
		f.PrintJSON(stderr)
	default:
		f.Print(stderr, "zankv-cdc")
	}
	return f.Code.Exit()
}

var appDescription = `Where it reads or asks the cluster, --nodes names the gRPC addresses of any of its nodes (or the environment's ZANKV_NODES does).

With --json, results are JSON on standard output, and an error is one line of JSON on standard error:
   {"error":{"code":"not-found","message":"…","action":"…"}}

Exit codes, and the codes of errors:
   0                 done; Ctrl-C and a closed pipe end tail and statistics in order, too
` + strings.TrimRight(failure.Codes("   "), "\n")

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:            "zankv-cdc",
		Usage:           "reads the feed of change events, runs changefeeds, and carries changes into another cluster",
		Description:     appDescription,
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		Commands:        []*cli.Command{tailCommand(), changefeedCommand(), checkpointCommand(), consumersCommand(), verifyCommand(), doctorCommand(), syncCommand()},
		OnUsageError:    misuse,
		// Patterns of keys may hold commas: lists are taken apart where their meaning is known.
		DisableSliceFlagSeparator: true,
		// Nothing but main exits the process.
		ExitErrHandler: func(*cli.Context, error) {},
		Action:         group,
	}
	prepare(app.Commands)
	return app
}

// prepare gives every command what all have.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = misuse
		c.HideHelpCommand = true
		for _, flag := range c.Flags {
			if f, ok := flag.(*cli.BoolFlag); ok {
				f.DisableDefaultText = true
			}
		}
		if len(c.Subcommands) > 0 {
			c.Action = group
			prepare(c.Subcommands)
		}
	}
}

func misuse(_ *cli.Context, err error, _ bool) error { return failure.Misuse(err) }

// group is what a command does that only has others below it.
func group(c *cli.Context) error {
	if c.Args().Present() {
		return failure.Misuse(fmt.Errorf("there is no command %q; see %s --help", c.Args().First(), c.Command.HelpName))
	}
	if c.Command.HelpName == c.App.HelpName {
		return cli.ShowAppHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}
