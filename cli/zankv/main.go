// Command zankv is ZanKV's data node, and a whole local cluster for trying it out.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cluster/engine/rocks"
)

// version is set by the build.
var version = "dev"

func main() {
	// The log's syncs and RocksDB's calls hold a processor of Go's while they wait for the disk. One more than the machine has keeps
	// the machine busy meanwhile; the environment has the last word.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := app().RunContext(ctx, os.Args); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "zankv:", err)
		stop()
		os.Exit(1)
	}
}

func app() *cli.App {
	return &cli.App{
		Name:    "zankv",
		Usage:   "a distributed, durable store behind the Redis protocol",
		Version: fmt.Sprintf("%s (RocksDB %s)", version, rocks.Library()),
		Description: `Without a command it runs one data node:

   zankv --config node.json

To try ZanKV out, start a whole cluster in one process:

   zankv local`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "run the data node that this JSON `FILE` describes"},
		},
		Action:          runNode,
		HideHelpCommand: true,
		Commands:        []*cli.Command{localCommand(), namespaceCommand(), etcdCommand()},
	}
}
