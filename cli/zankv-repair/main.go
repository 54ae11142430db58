// Command zankv-repair settles conflicts between two clusters, and switches clients over from one to the other.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
)

func main() {
	// A closed pipe is an error of writing, not the end of the process: what is under way is ended in order.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code. Results go to stdout; errors, questions and progress to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	err := app.RunContext(ctx, optionsFirst(app, args))
	if err == nil {
		return 0
	}
	f := failure.Of(err)
	if errors.Is(err, context.DeadlineExceeded) && f.Code == failure.Error {
		f.Code, f.Action = failure.Unavailable, "--timeout is how long it may take; what was done is done, and isn't done twice when it is repeated"
	}
	switch {
	case f.Message == "": // all was said
	case slices.Contains(args, "--json") || slices.Contains(args, "-json"):
		f.PrintJSON(stderr)
	default:
		f.Print(stderr, "zankv-repair")
	}
	return f.Code.Exit()
}

const appDescription = `Clusters are named by HOST:GRPC[,…] of any of their nodes (default gRPC port: 12382); leaders, HTTP and Redis addresses are asked of them.

With --json, results are JSON on standard output, and an error is one line of JSON on standard error:
   {"error":{"code":"refused","message":"…","action":"…"}}

Exit codes, and the codes of errors:
   0               done
   1  error        something failed; the message says what
   1  not-supported  the node doesn't know the request: it is of an older version
   2  usage        a mistake in the command line
   2  invalid      it can't be meant so
   2  unconfirmed  it has to be confirmed, by --no-confirm where nobody can be asked
   3  refused      it isn't safe as things are: nothing was changed. Where --force is offered, it goes on all the same
   4  not-found    there is no such row, namespace or partition
   5  unavailable  no node answered, or not in time: worth a retry
   6  conflict     somebody else changed it meanwhile, or another run is under way`

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:            "zankv-repair",
		Usage:           "settles conflicts between clusters, and switches over from one to the other",
		Description:     appDescription,
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		Commands:        []*cli.Command{conflictsCommand(), switchoverCommand(), failoverCommand()},
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
			continue
		}
		c.Action = bounded(c.Action)
	}
}

// bounded runs a command for no longer than --timeout says.
func bounded(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if d := c.Duration("timeout"); d > 0 {
			ctx, cancel := context.WithTimeout(c.Context, d)
			defer cancel()
			c.Context = ctx
		}
		return action(c)
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
