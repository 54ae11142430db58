package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/feeds"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/cli/internal/options"
	"github.com/zankv/zankv/cli/internal/table"
	"github.com/zankv/zankv/cli/internal/tail"
)

func consumersCommand() *cli.Command {
	return &cli.Command{
		Name:      "consumers",
		Usage:     "lists and removes those for whom the log is kept",
		UsageText: "zankv-cdc consumers list|remove [options]",
		Description: `A registered consumer holds back the truncation of a partition's log, up to the nodes' limits. Changefeeds register themselves, as
changefeed/ID; other readers may.`,
		Subcommands: []*cli.Command{consumersListCommand(), consumersRemoveCommand()},
	}
}

func partitionsFlag() cli.Flag {
	return &cli.StringFlag{Name: "partition", Value: "all", Usage: "`NUMBERS` of the partitions, from 0, separated by commas; or all"}
}

func consumersListCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "lists registered consumers, how far they are behind, and how far they may fall",
		UsageText: "zankv-cdc consumers list --nodes HOST:GRPC[,…] [--namespace NAME] [--partition NUMBERS] [--json]",
		Description: `HEADROOM is what may still be written to the partition, and how long it may take, until the consumer's place in the log is given up.

Example:
   zankv-cdc consumers list --nodes 10.0.0.1:12382 --namespace default`,
		Flags: []cli.Flag{nodesFlag(), namespaceFlag(), partitionsFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			return eachPartition(c, func(ctx context.Context, client *feed.Consumers, numbers tail.Numbers) error {
				var all []feeds.Consumer
				for _, n := range numbers {
					found, err := client.List(ctx, c.String("namespace"), n)
					if err != nil {
						return err
					}
					for _, one := range found {
						all = append(all, feeds.ConsumerOf(n, one))
					}
				}
				if c.Bool("json") {
					return feeds.JSON(c.App.Writer, map[string]any{"consumers": append([]feeds.Consumer{}, all...)})
				}
				return feeds.Consumers(c.App.Writer, all)
			})
		},
	}
}

func consumersRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "has the log no longer kept for a consumer",
		UsageText: "zankv-cdc consumers remove --nodes HOST:GRPC[,…] --id ID [--namespace NAME] [--partition NUMBERS] [--no-confirm]",
		Description: `For readers that are gone for good. A changefeed registers itself again as long as it runs; remove that instead.

Example:
   zankv-cdc consumers remove --nodes 10.0.0.1:12382 --id old-reader --no-confirm`,
		Flags: []cli.Flag{nodesFlag(), namespaceFlag(), partitionsFlag(), &cli.StringFlag{Name: "id", Usage: "`ID` of the consumer"}, noConfirmFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			id := c.String("id")
			if id == "" {
				return misused(c, "id", errors.New("is missing; zankv-cdc consumers list names all"))
			}
			return eachPartition(c, func(ctx context.Context, client *feed.Consumers, numbers tail.Numbers) error {
				held, err := holding(ctx, client, c.String("namespace"), numbers, id)
				if err != nil {
					return err
				}
				if err := options.Confirm(c, fmt.Sprintf("Remove consumer %s of %s of %s? What it has yet to read may be truncated then.", id, table.Count(len(held), "partition"), c.String("namespace"))); err != nil {
					return err
				}
				for _, n := range held {
					if err := client.Remove(ctx, c.String("namespace"), n, id); err != nil {
						return err
					}
				}
				if c.Bool("json") {
					return feeds.JSON(c.App.Writer, map[string]any{"removed": id, "partitions": held})
				}
				return say(c, "consumer %s is removed from %s of %s", id, table.Count(len(held), "partition"), c.String("namespace"))
			})
		},
	}
}

// holding are the partitions that know a consumer.
func holding(ctx context.Context, client *feed.Consumers, namespace string, numbers tail.Numbers, id string) (tail.Numbers, error) {
	var held tail.Numbers
	for _, n := range numbers {
		all, err := client.List(ctx, namespace, n)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			if one.ID == id {
				held = append(held, n)
			}
		}
	}
	if len(held) == 0 {
		return nil, failure.New(failure.NotFound, "zankv-cdc consumers list names all", "no partition of %s that was looked at has a consumer %s", namespace, id)
	}
	return held, nil
}

// eachPartition calls f with the partitions that --partition names, and what asks their leaders.
func eachPartition(c *cli.Context, f func(ctx context.Context, client *feed.Consumers, numbers tail.Numbers) error) error {
	if err := noArguments(c); err != nil {
		return err
	}
	numbers, err := tail.ParseNumbers(c.String("partition"))
	if err != nil {
		return misused(c, "partition", err)
	}
	all, err := addresses(c)
	if err != nil {
		return err
	}
	ctx, cancel := within(c.Context)
	defer cancel()
	if numbers == nil {
		partitions, err := nodes.Partitions(ctx, all, c.String("namespace"))
		if err != nil {
			return err
		}
		for _, p := range partitions {
			numbers = append(numbers, p.Number)
		}
	}
	client := feed.NewConsumers(all)
	defer client.Close()
	return f(ctx, client, numbers)
}
