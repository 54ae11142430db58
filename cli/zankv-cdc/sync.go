package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // registers on the default mux, which only --pprof serves
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/term"
	"github.com/zankv/zankv/replay/syncer"
)

// version is set by the build.
var version = "dev"

const syncDescription = `Carries every change of the source cluster's namespaces into the target cluster, each exactly once, until it is stopped. The first time, and whenever
the source's log no longer has what comes next, it carries the whole state. What the target itself made isn't carried back to it: two processes, one for each
direction, keep two clusters alike that are both written to.

For each namespace the source gets a changefeed, sync-NAMESPACE-to-CLUSTER. It stays when the process ends, holds back the truncation of the source's log as
far as the nodes' limits allow, and is watched, paused and resumed by zankv-cdc changefeed, and by doctor. Several processes of the same source and target share
the work, and each stands in for the others, in seconds: run two.

--config reads the same from a JSON file, whose keys are the options' names; "source", "target" and "namespace" may be lists. Options win over it:
   {"source": ["10.0.0.1:12382"], "target": ["10.1.0.1:12382"], "namespace": ["default"], "bandwidth": "50MiB", "http": ":12390"}

--http serves /logsync/stats (how far each partition is: lags, ETA, full sync), /syncer/runnings, /stats, /metrics (Prometheus) and /ping.

Examples:
   All namespaces that both clusters have:
      zankv-cdc sync --source 10.0.0.1:12382,10.0.0.2:12382 --target 10.1.0.1:12382,10.1.0.2:12382
   One of them, over a thin line:
      zankv-cdc sync --source 10.0.0.1:12382 --target 10.1.0.1:12382 --namespace default --bandwidth 20MiB --http :12390
   How it is doing, and a pause:
      zankv-cdc changefeed list --nodes 10.0.0.1:12382
      zankv-cdc changefeed pause --nodes 10.0.0.1:12382 -c sync-default-to-dc-b`

// beside is what a process is to take besides its budget: the collector runs more often before it lets garbage grow beyond both.
const beside = 40 << 20

// reachWithin is how long both clusters may take to answer at the start.
const reachWithin = 30 * time.Second

func syncCommand() *cli.Command {
	return &cli.Command{
		Name:        "sync",
		Usage:       "carries every change of a cluster into another one, exactly once",
		UsageText:   "zankv-cdc sync --source HOST:GRPC[,…] --target HOST:GRPC[,…] [--namespace NAME[,…] | all] [options]",
		Description: syncDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "source", Usage: "`HOST:GRPC[,…]` of any of the source's nodes; they name the others (default gRPC port: 12382)"},
			&cli.StringFlag{Name: "target", Usage: "`HOST:GRPC[,…]` of any of the target's nodes"},
			&cli.StringFlag{Name: "namespace", DefaultText: "all", Usage: "the `NAMES` to carry, separated by commas; all: those that both clusters have, also later ones"},
			&cli.StringFlag{Name: "name", DefaultText: "syncer@HOST:PID", Usage: "`NAME` of this process, as its partitions' owner; each process should have another one"},
			&cli.StringFlag{Name: "bandwidth", DefaultText: "0", Usage: "the most that this process sends of a namespace in a second: `BYTES`, as 20MiB; 0 is no bound"},
			&cli.StringFlag{Name: "compression", DefaultText: "zstd", Usage: "`KIND` is zstd, or none"},
			&cli.StringFlag{Name: "memory", DefaultText: "256MiB", Usage: "the most that is held of changes on their way: `BYTES`"},
			&cli.StringFlag{Name: "http", Usage: "serve figures at `HOST:PORT`"},
			&cli.StringFlag{Name: "pprof", Usage: "serve Go's profiles at `HOST:PORT`"},
			&cli.BoolFlag{Name: "redefine", Usage: "change changefeeds that are there and say something else: target, bandwidth, compression"},
			&cli.StringFlag{Name: "config", Usage: "read options from a JSON `FILE`"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "don't show progress, on a terminal"},
			&cli.BoolFlag{Name: "json", Usage: "log in JSON, and print an error as JSON on standard error"},
		},
		Action: runSync,
	}
}

func runSync(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	set, err := syncSettings(c)
	if err != nil {
		return err
	}
	options, err := set.options(c)
	if err != nil {
		return err
	}
	figures, err := listen(c, "http", set.HTTP)
	if err != nil {
		return err
	}
	defer figures.close()
	profiles, err := listen(c, "pprof", set.Pprof)
	if err != nil {
		return err
	}
	defer profiles.close()
	screen := &screen{w: c.App.ErrWriter, live: term.Is(c.App.ErrWriter) && !c.Bool("quiet") && !c.Bool("json")}
	options.Logger, options.Version = syncLogger(c, screen), version
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(options.MemoryBytes, worker.DefaultBudget) + beside)
	}
	profiles.serve(options.Logger, http.DefaultServeMux)
	return carry(c, options, figures, screen)
}

// carry carries until it is told to end.
func carry(c *cli.Context, options *syncer.Options, figures *web, screen *screen) (err error) {
	reach, done := context.WithTimeout(c.Context, reachWithin)
	s, err := syncer.Open(reach, *options)
	done()
	if err != nil {
		return syncFailure(c, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	figures.serve(options.Logger, s.Handler())
	if screen.live {
		defer screen.watch(s)()
	}
	return s.Run(c.Context)
}

func syncLogger(c *cli.Context, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Bool("json") {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// web is a port that serves HTTP; nil is none.
type web struct {
	flag     string
	listener net.Listener
	server   *http.Server
	served   chan struct{}
}

// listen opens the port that an option names, if it names one.
func listen(c *cli.Context, flag, address string) (*web, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, misused(c, flag, err)
	}
	return &web{flag: flag, listener: l}, nil
}

func (w *web) serve(log *slog.Logger, h http.Handler) {
	if w == nil {
		return
	}
	w.server, w.served = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{})
	log.Info("syncer serves HTTP", "option", w.flag, "addr", w.listener.Addr().String())
	go func() {
		defer close(w.served)
		if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("HTTP is no longer served", "option", w.flag, "err", err)
		}
	}()
}

func (w *web) close() {
	switch {
	case w == nil:
	case w.server == nil:
		_ = w.listener.Close()
	default:
		_ = w.server.Close()
		<-w.served
	}
}

// syncFailure gives what keeps a process from beginning its code. One that was stopped before that ended in order.
func syncFailure(c *cli.Context, err error) error {
	if c.Context.Err() != nil {
		return nil
	}
	var known *syncer.Error
	if !errors.As(err, &known) {
		return err
	}
	code := map[syncer.Kind]failure.Code{
		syncer.Unknown: failure.NotFound, syncer.Differs: failure.Conflict, syncer.SameCluster: failure.Invalid, syncer.Unreachable: failure.Unavailable,
	}[known.Kind]
	return failure.New(code, known.Action, "%s: %w", c.Command.Name, err)
}

// screen is a terminal's standard error: lines of the log, and below them one that says how it goes.
type screen struct {
	w    io.Writer
	live bool
	mu   sync.Mutex
	line string
}

// Write takes a line of the log.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.w.Write(b)
	}
	_, err := fmt.Fprint(s.w, term.Line, string(b), s.line)
	return len(b), err
}

func (s *screen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = line
	fmt.Fprint(s.w, term.Line, line)
}

// watch shows how it goes, every second until what it returns is called.
func (s *screen) watch(of *syncer.Syncer) (end func()) {
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.show(syncLine(of.Progress()))
			case <-stop:
				s.show("")
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-over
	}
}
