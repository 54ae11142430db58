package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/options"
)

func nodesFlag() cli.Flag {
	return &cli.StringFlag{Name: "nodes", EnvVars: []string{"ZANKV_NODES"},
		Usage: "`HOST:GRPC[,…]` of any of the cluster's nodes; they name the others (default gRPC port: 12382)"}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON; errors, too, on standard error"}
}

func namespaceFlag() cli.Flag {
	return &cli.StringFlag{Name: "namespace", Value: "default", Usage: "`NAME` of the namespace"}
}

// addresses are those of --nodes.
func addresses(c *cli.Context) ([]string, error) {
	all := nodes.Split(c.String("nodes"))
	if len(all) == 0 {
		return nil, failure.Misuse(fmt.Errorf("%s: --nodes is missing: name at least one node, as 127.0.0.1:12382", c.Command.Name))
	}
	return all, nil
}

// noArguments refuses what stands behind the options.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return failure.Misuse(fmt.Errorf("%s: what is %q? Everything is given by options", c.Command.Name, c.Args().First()))
	}
	return nil
}

// misused says which option of a command is wrong, and why.
func misused(c *cli.Context, flag string, err error) error {
	return failure.Misuse(fmt.Errorf("%s: --%s: %w", c.Command.Name, flag, err))
}

func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "table", Usage: "only keys of these tables: `NAMES`, separated by commas; may be repeated"},
		&cli.StringSliceFlag{Name: "key", Usage: "only keys that match one of these `PATTERNS`, as KEYS has them (a comma within one: \\,); may be repeated"},
		&cli.StringSliceFlag{Name: "op", Usage: "only these `OPS`, as the JSON names them: set, del, hset …; may be repeated"},
		&cli.StringSliceFlag{Name: "origin", Usage: "only what was first made in these clusters: `IDS`; !ID leaves one out; may be repeated"},
	}
}

// filter reads the filter's flags.
func filter(c *cli.Context) (changefeed.Filter, error) {
	f := changefeed.Filter{
		Tables: options.List(c.StringSlice("table"), false), Keys: options.List(c.StringSlice("key"), true), Ops: options.List(c.StringSlice("op"), false),
		Origins: options.List(c.StringSlice("origin"), false),
	}
	for flag, values := range map[string][]string{"table": f.Tables, "key": f.Keys, "op": f.Ops, "origin": f.Origins} {
		if c.IsSet(flag) && len(values) == 0 {
			return f, misused(c, flag, errors.New("names nothing"))
		}
	}
	return f, nil
}
