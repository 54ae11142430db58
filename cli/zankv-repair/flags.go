package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/options"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
)

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON; errors, too, on standard error"}
}

func timeoutFlag(d time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Value: d, Usage: "give up after this `TIME`; 0 is never"}
}

func nodesFlag(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }

// dial makes a cluster of the addresses that a flag names.
func dial(c *cli.Context, flag string) (*peers.Cluster, error) {
	all := nodes.Split(c.String(flag))
	if len(all) == 0 {
		return nil, failure.Misuse(fmt.Errorf("%s: --%s is missing: name at least one node's gRPC address, as 127.0.0.1:12382", c.Command.Name, flag))
	}
	return peers.Dial(all), nil
}

// misused says which option of a command is wrong, and why.
func misused(c *cli.Context, flag string, err error) error {
	return failure.Misuse(fmt.Errorf("%s: --%s: %w", c.Command.Name, flag, err))
}

// noArguments refuses what stands behind the options.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return failure.Misuse(fmt.Errorf("%s: what is %q? Everything is given by options", c.Command.Name, c.Args().First()))
	}
	return nil
}

func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "table", Usage: "only keys of these tables: `NAMES`, separated by commas; may be repeated"},
		&cli.StringSliceFlag{Name: "key", Usage: "only keys that match one of these `PATTERNS`, as KEYS has them (a comma within one: \\,); may be repeated"},
		&cli.StringSliceFlag{Name: "reason", Usage: "only these `REASONS`: " + strings.Join(reasons(), ", ") + "; may be repeated"},
		&cli.StringSliceFlag{Name: "source", Usage: "only what came from these clusters: `IDS`; may be repeated"},
		&cli.StringFlag{Name: "since", Usage: "only what was decided from this `TIME` on: 2026-11-22T10:00:00Z, 2026-11-22, or an age as 90m"},
		&cli.StringFlag{Name: "until", Usage: "only what was decided up to this `TIME`"},
		&cli.StringFlag{Name: "partition", Usage: "only these partitions: `NUMBERS`, separated by commas"},
		&cli.BoolFlag{Name: "diverged", Usage: "keys that have diverged, instead of single conflicts"},
	}
}

func reasons() []string {
	var all []string
	for _, r := range conflict.Reasons() {
		all = append(all, r.String())
	}
	return all
}

// filtered says whether anything was given that leaves rows out.
func filtered(c *cli.Context) bool {
	return slices.ContainsFunc([]string{"table", "key", "reason", "source", "since", "until", "partition"}, c.IsSet)
}

// filter reads the filter's flags, but for --partition.
func filter(c *cli.Context) (*replaypb.Filter, error) {
	f := &replaypb.Filter{
		Tables: options.List(c.StringSlice("table"), false), Keys: options.List(c.StringSlice("key"), true), Reasons: options.List(c.StringSlice("reason"), false),
		Sources: options.List(c.StringSlice("source"), false), Diverged: c.Bool("diverged"),
	}
	for flag, values := range map[string][]string{"table": f.Tables, "key": f.Keys, "reason": f.Reasons, "source": f.Sources} {
		if c.IsSet(flag) && len(values) == 0 {
			return nil, misused(c, flag, errors.New("names nothing"))
		}
	}
	for _, r := range f.Reasons {
		if !slices.Contains(reasons(), r) {
			return nil, misused(c, "reason", fmt.Errorf("%q is none of %s", r, strings.Join(reasons(), ", ")))
		}
	}
	var err error
	if f.Since, err = moment(c.String("since"), time.Now()); err != nil {
		return nil, misused(c, "since", err)
	}
	if f.Until, err = moment(c.String("until"), time.Now()); err != nil {
		return nil, misused(c, "until", err)
	}
	return f, nil
}

// moment reads a time, or an age, as ns since 1970; 0 for "".
func moment(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if age, err := time.ParseDuration(s); err == nil && age >= 0 {
		return now.Add(-age).UnixNano(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixNano(), nil
		}
	}
	return 0, fmt.Errorf("%q is no time: want 2026-11-22T10:00:00Z, 2026-11-22 (its beginning, in UTC), or an age as 90m or 24h", s)
}

// partitions are those that --partition names, or all there are.
func partitions(c *cli.Context, all []*replaypb.Partition) ([]uint32, error) {
	var numbers []uint32
	for _, p := range all {
		numbers = append(numbers, p.Number)
	}
	slices.Sort(numbers)
	if !c.IsSet("partition") {
		return numbers, nil
	}
	var named []uint32
	for _, s := range options.List([]string{c.String("partition")}, false) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || !slices.Contains(numbers, uint32(n)) {
			return nil, misused(c, "partition", fmt.Errorf("there is no partition %q: the namespace has %d, from 0", s, len(numbers)))
		}
		named = append(named, uint32(n))
	}
	if len(named) == 0 {
		return nil, misused(c, "partition", errors.New("names nothing"))
	}
	slices.Sort(named)
	return slices.Compact(named), nil
}

// optionsFirst moves a command's options before its arguments, which the parser of options wants to stand last: people write "show ID --json".
func optionsFirst(app *cli.App, args []string) []string {
	commands, at := app.Commands, 1
	var command *cli.Command
	for at < len(args) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[at]) })
		if i < 0 {
			break
		}
		command, commands = commands[i], commands[i].Subcommands
		at++
	}
	if command == nil || len(command.Subcommands) > 0 {
		return args
	}
	var options, others []string
	for rest := args[at:]; len(rest) > 0; rest = rest[1:] {
		name := strings.TrimLeft(rest[0], "-")
		switch {
		case rest[0] == "--":
			return slices.Concat(args[:at], options, others, rest)
		case name == rest[0] || name == "":
			others = append(others, rest[0])
		default:
			options = append(options, rest[0])
			if len(rest) > 1 && takesValue(command, name) {
				options, rest = append(options, rest[1]), rest[1:]
			}
		}
	}
	return slices.Concat(args[:at], options, others)
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
