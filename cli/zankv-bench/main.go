// Command zankv-bench measures ZanKV against redis-server and etcd on this machine, in one run, and prints a table of
// ratios with the targets beside them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/bench"
	"github.com/zankv/zankv/cli/internal/bench/etcdload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := app().RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "zankv-bench:", err)
		stop()
		os.Exit(1)
	}
}

func app() *cli.App {
	return &cli.App{
		Name:  "zankv-bench",
		Usage: "measure ZanKV against redis-server and etcd on this machine",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "zankv", Value: "bin/zankv", Usage: "the zankv binary"},
			&cli.StringFlag{Name: "zankv-cdc", Value: "bin/zankv-cdc", Usage: "the zankv-cdc binary"},
			&cli.StringFlag{Name: "redis-server", Value: "redis-server", Usage: "the redis-server binary"},
			&cli.StringFlag{Name: "redis-benchmark", Value: "redis-benchmark", Usage: "the redis-benchmark binary"},
			&cli.StringFlag{Name: "dir", Value: ".", Usage: "where data is put while it runs: on the disk to be measured"},
			&cli.StringFlag{Name: "only", Usage: "sections to run, separated by commas (those that they need run too): " + strings.Join(bench.Sections(), ", ")},
			&cli.IntFlag{Name: "rounds", Value: 3, Usage: "how often everything is measured"},
			&cli.DurationFlag{Name: "each", Value: 2 * time.Second, Usage: "how long one load is kept up"},
			&cli.IntFlag{Name: "keys", Value: 1_000_000, Usage: "how many keys the stores are filled with"},
			&cli.BoolFlag{Name: "quick", Usage: "one short round with few keys, to see that everything works"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures and all samples as JSON"},
			&cli.BoolFlag{Name: "strict", Usage: "end with an error when a target is missed"},
		},
		Action:   run,
		Commands: []*cli.Command{{Name: bench.EtcdMemberCommand, Hidden: true, Action: etcdMember}},
	}
}

func run(c *cli.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := bench.Options{
		Zankv: c.String("zankv"), ZankvCDC: c.String("zankv-cdc"), RedisServer: c.String("redis-server"), RedisBenchmark: c.String("redis-benchmark"),
		Self: self, Dir: c.String("dir"), Rounds: c.Int("rounds"), Each: c.Duration("each"), Keys: c.Int("keys"),
		Progress: os.Stderr,
	}
	if only := c.String("only"); only != "" {
		o.Only = strings.Split(only, ",")
	}
	if c.Bool("quick") {
		o.Quick()
	}
	report, err := bench.Run(c.Context, o)
	if err != nil {
		return err
	}
	write := report.WriteTable
	if c.Bool("json") {
		write = report.WriteJSON
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if n := report.Misses(); n > 0 && c.Bool("strict") {
		return fmt.Errorf("%d targets missed", n)
	}
	return nil
}

func etcdMember(c *cli.Context) error {
	a := c.Args()
	if a.Len() != 4 {
		return fmt.Errorf("%s: want name, directory, client URL and initial cluster", c.Command.Name)
	}
	return etcdload.Serve(c.Context, os.Stdout, a.Get(0), a.Get(1), a.Get(2), a.Get(3))
}
