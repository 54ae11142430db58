package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/options"
	"github.com/zankv/zankv/cli/internal/table"
)

// definitionFlags are those of create and update.
func definitionFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "sink-uri", Usage: "where the changes go: `URI` is kafka://broker:9092/TOPIC, file:///folder, or zankv://HOST:GRPC[,…] of another cluster"},
		&cli.StringFlag{Name: "from", DefaultText: "earliest", Usage: "where a partition begins that the sink has nothing of: a `PLACE` is earliest, latest, a time (RFC 3339), or for each partition one, as 0=2-1041,1=latest"},
		&cli.StringFlag{Name: "to", DefaultText: "never", Usage: "where it ends: a `PLACE` is a time, of which nothing is carried any more, or positions as 0=2-1041,1=2-99, which are"},
	}, append(filterFlags(),
		&cli.StringFlag{Name: "format", DefaultText: "json", Usage: "how a change is written: `FORMAT` is json or debezium"},
		&cli.DurationFlag{Name: "heartbeat", DefaultText: "5s", Usage: "how often a partition without changes says how far it is: an `INTERVAL`"},
		&cli.StringFlag{Name: "bandwidth", Usage: "the most that each partition sends in a second: `BYTES`, as 10MiB; 0 is no bound", DefaultText: "0"},
		&cli.StringFlag{Name: "archive", Usage: "the sink `URI` of a file:// changefeed of the same namespace, to go on from when the log no longer has what comes next"},
		&cli.BoolFlag{Name: "no-digests", Usage: "leave no digests of what is filtered out; the sink can't be verified then"})...)
}

const createDescription = `The cluster checks the definition before it takes it. Then it runs at once; query shows whether the sink can be reached.

A kafka:// sink's topic is created if it isn't there, with a partition for each of the namespace; {cluster} and {namespace} in its name are filled
in. Passwords don't stand in the URI. A file:// sink is an archive that other changefeeds can go on from. A zankv:// sink is the namespace of the same name in
another cluster (?namespace= names another one; bandwidth=, compression=zstd|none bound and pack what is sent); zankv-cdc sync does the same in processes of its own.

Examples:
   Every change from now on:
      zankv-cdc changefeed create --nodes 10.0.0.1:12382 -c orders --sink-uri kafka://10.0.0.9:9092/orders --from latest
   Two tables, without deletes, in Debezium's envelope:
      zankv-cdc changefeed create --nodes 10.0.0.1:12382 --sink-uri kafka://10.0.0.9:9092/orders --table orders,users --op set,hset --format debezium
   An archive of all changes, in files:
      zankv-cdc changefeed create --nodes 10.0.0.1:12382 -c archive --sink-uri file:///backup/zankv
   Into another cluster, by the data nodes of this one:
      zankv-cdc changefeed create --nodes 10.0.0.1:12382 -c to-b --sink-uri 'zankv://10.1.0.1:12382,10.1.0.2:12382?bandwidth=50MiB'`

func createCommand() *cli.Command {
	flags := []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed; one is made up if it is left out"), namespaceFlag()}
	return &cli.Command{
		Name:        "create",
		Usage:       "defines a changefeed, which runs at once",
		UsageText:   "zankv-cdc changefeed create --nodes HOST:GRPC[,…] --sink-uri URI [options]",
		Description: createDescription,
		Flags:       append(append(flags, definitionFlags()...), jsonFlag()),
		Action:      create,
	}
}

func create(c *cli.Context) error {
	spec, err := definition(c)
	if err != nil {
		return err
	}
	return call(c, func(ctx context.Context, client *admin.Client) error {
		ctx, cancel := within(ctx)
		defer cancel()
		s, err := client.Create(ctx, spec)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return feeds.JSON(c.App.Writer, feeds.ObjectOf(&s, time.Now()))
		}
		if err := say(c, "created changefeed %s over %s of %s", s.Spec.ID, table.Count(s.Partitions, "partition"), s.Spec.Namespace); err != nil {
			return err
		}
		feeds.Definition(c.App.Writer, &s.Spec)
		return say(c, "see how it is doing: zankv-cdc changefeed query -c %s", s.Spec.ID)
	})
}

// definition reads a whole definition.
func definition(c *cli.Context) (changefeed.Spec, error) {
	f, err := filter(c)
	if err != nil {
		return changefeed.Spec{}, err
	}
	bandwidth, err := parseBytes(c.String("bandwidth"))
	if err != nil {
		return changefeed.Spec{}, misused(c, "bandwidth", err)
	}
	if c.String("sink-uri") == "" {
		return changefeed.Spec{}, misused(c, "sink-uri", errors.New("is missing: say where the changes go, as kafka://10.0.0.9:9092/{cluster}.{namespace}"))
	}
	s := changefeed.Spec{
		ID: c.String("changefeed-id"), Namespace: c.String("namespace"), SinkURI: c.String("sink-uri"), From: c.String("from"), To: c.String("to"), Filter: f,
		Format: changefeed.Format(c.String("format")), Heartbeat: changefeed.Duration(c.Duration("heartbeat")), Digests: !c.Bool("no-digests"),
		Archive: c.String("archive"), BandwidthBytes: bandwidth,
	}
	if s.ID == "" && !c.IsSet("changefeed-id") {
		s.ID = fmt.Sprintf("%s-%s", s.Namespace, strings.ToLower(rand.Text()[:8]))
	}
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		return s, failure.New(failure.Invalid, "zankv-cdc changefeed create --help has examples", "%w", err)
	}
	return s, nil
}

// units of --bandwidth, the longer names first.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// parseBytes reads "10MiB"; "" is 0.
func parseBytes(s string) (int64, error) {
	unit, number := int64(1), strings.TrimSpace(s)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			unit, number = u.bytes, strings.TrimSpace(rest)
			break
		}
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return 0, fmt.Errorf("%q: want a number of bytes, as 500KiB or 10MiB", s)
	}
	return n * unit, nil
}

const updateDescription = `What isn't named stays as it is; a filter is replaced as a whole by --table, --key, --op and --origin. Its workers begin anew then, from
their checkpoints. --sink-uri, --from and --format can only be changed while it is paused. Asks first, on a terminal; elsewhere it wants
--no-confirm.

Examples:
   zankv-cdc changefeed update --nodes 10.0.0.1:12382 -c orders --bandwidth 20MiB
   No filter any more:
   zankv-cdc changefeed update --nodes 10.0.0.1:12382 -c orders --no-filter --no-confirm`

func updateCommand() *cli.Command {
	flags := []cli.Flag{nodesFlag(), idFlag("`ID` of the changefeed")}
	return &cli.Command{
		Name:        "update",
		Usage:       "changes a changefeed's definition",
		UsageText:   "zankv-cdc changefeed update --nodes HOST:GRPC[,…] -c ID [options]",
		Description: updateDescription,
		Flags: append(append(flags, definitionFlags()...), &cli.BoolFlag{Name: "no-filter", Usage: "carry every change"},
			&cli.BoolFlag{Name: "digests", Usage: "leave digests of what is filtered out again"}, noConfirmFlag(), jsonFlag()),
		Action: update,
	}
}

func update(c *cli.Context) error {
	id, err := changefeedID(c)
	if err != nil {
		return err
	}
	change, err := changes(c)
	if err != nil {
		return err
	}
	return call(c, func(ctx context.Context, client *admin.Client) error {
		before, err := get(ctx, client, id)
		if err != nil {
			return err
		}
		change.Generation = before.Spec.Generation
		if err := options.Confirm(c, fmt.Sprintf("Change %s of changefeed %s? It begins anew from its checkpoints.", strings.Join(changed(c), ", "), id)); err != nil {
			return err
		}
		ctx, cancel := within(ctx)
		defer cancel()
		s, err := client.Update(ctx, id, change)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return feeds.JSON(c.App.Writer, feeds.ObjectOf(&s, time.Now()))
		}
		if err := say(c, "changed changefeed %s", id); err != nil {
			return err
		}
		feeds.Definition(c.App.Writer, &s.Spec)
		return nil
	})
}

func get(ctx context.Context, client *admin.Client, id string) (feeds.Status, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	return client.Get(ctx, id)
}

// definitions are the options that change something.
var definitions = []string{
	"sink-uri", "from", "to", "table", "key", "op", "origin", "no-filter", "format", "heartbeat", "bandwidth", "archive", "no-digests", "digests",
}

// changed are those that were named.
func changed(c *cli.Context) []string {
	var all []string
	for _, flag := range definitions {
		if c.IsSet(flag) {
			all = append(all, "--"+flag)
		}
	}
	return all
}

// changes reads what is to change.
func changes(c *cli.Context) (admin.Change, error) {
	var change admin.Change
	if len(changed(c)) == 0 {
		return change, failure.Misuse(errors.New("update: nothing is to change: name at least one of --" + strings.Join(definitions, ", --")))
	}
	f, err := filter(c)
	if err != nil {
		return change, err
	}
	switch {
	case c.Bool("no-filter") && !f.IsZero():
		return change, misused(c, "no-filter", errors.New("contradicts --table, --key, --op and --origin"))
	case c.Bool("no-digests") && c.Bool("digests"):
		return change, misused(c, "digests", errors.New("contradicts --no-digests"))
	case c.Bool("no-filter") || !f.IsZero():
		change.Filter = &f
	}
	if c.Bool("no-digests") || c.Bool("digests") {
		change.Digests = new(c.Bool("digests"))
	}
	change.SinkURI, change.From, change.To, change.Archive = text(c, "sink-uri"), text(c, "from"), text(c, "to"), text(c, "archive")
	if c.IsSet("format") {
		change.Format = new(changefeed.Format(c.String("format")))
	}
	if c.IsSet("heartbeat") {
		change.Heartbeat = new(c.Duration("heartbeat"))
	}
	if c.IsSet("bandwidth") {
		bandwidth, err := parseBytes(c.String("bandwidth"))
		if err != nil {
			return change, misused(c, "bandwidth", err)
		}
		change.BandwidthBytes = &bandwidth
	}
	return change, nil
}

// text is an option's value, nil if it wasn't named.
func text(c *cli.Context, flag string) *string {
	if !c.IsSet(flag) {
		return nil
	}
	return new(c.String(flag))
}
