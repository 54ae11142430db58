// Command kafka-consumer is an example: it reads the topic of a changefeed as a member of a consumer group, and prints the changes, or the state that
// they give. README.md says what it shows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

// toJoin is how long the group may take to give us partitions, before there is anything to be idle about.
const toJoin = 30 * time.Second

type options struct {
	brokers, topic, group, print string
	untilIdle                    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.brokers, "brokers", "127.0.0.1:9092", "brokers to ask first: host:port,…")
	flag.StringVar(&o.topic, "topic", "", "the topic")
	flag.StringVar(&o.group, "group", "kafka-consumer", "the consumer group; one that is new begins at the topic's beginning")
	flag.DurationVar(&o.untilIdle, "until-idle", 0, "end when no change came for so long; 0: never")
	flag.StringVar(&o.print, "print", "json", "json: each change once, as it comes; fold: the state, at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka-consumer:", err)
		os.Exit(1)
	}
}

// run consumes until ctx ends, or nothing comes any more.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.topic == "" || o.print != "json" && o.print != "fold" {
		return errors.New("want --topic NAME, and --print json or fold")
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: strings.Split(o.brokers, ","), Topic: o.topic, GroupID: o.group,
		StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond})
	c := consumer{partitions: map[int]*partition{}}
	if o.print == "json" {
		c.lines = out
	}
	err := c.consume(ctx, reader, o.untilIdle)
	if e := reader.Close(); err == nil {
		err = e
	}
	if err == nil && o.print == "fold" {
		err = c.printState(out)
	}
	return err
}

// consumer has what it knows of each partition that it was given.
type consumer struct {
	partitions map[int]*partition
	lines      io.Writer // nil: lines aren't printed
}

// consume applies messages and commits each after it was applied: what comes again after a crash or a rebalance is dropped by its position.
//
// A consumer that keeps its state in a database writes the position, and the offset, in the same transaction as the change, and begins there: then
// nothing is lost or doubled whatever happens to it.
func (c *consumer) consume(ctx context.Context, reader *kafka.Reader, untilIdle time.Duration) error {
	end := time.Now().Add(toJoin + untilIdle)
	for {
		m, err := next(ctx, reader, untilIdle > 0, end)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		changed, err := c.take(&m)
		if err != nil {
			return fmt.Errorf("partition %d, offset %d: %w", m.Partition, m.Offset, err)
		}
		if now := time.Now(); changed || end.Sub(now) > untilIdle {
			end = now.Add(untilIdle)
		}
		if err := reader.CommitMessages(ctx, m); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// next waits for a message, until an end if there is one.
func next(ctx context.Context, reader *kafka.Reader, ends bool, end time.Time) (kafka.Message, error) {
	if ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	return reader.FetchMessage(ctx)
}

// take says whether a message was more than a heartbeat.
func (c *consumer) take(m *kafka.Message) (changed bool, err error) {
	p := c.partitions[m.Partition]
	if p == nil {
		p = &partition{}
		c.partitions[m.Partition] = p
	}
	line, err := p.take(m)
	if err != nil || line == nil || c.lines == nil {
		return line != nil, err
	}
	_, err = fmt.Fprintf(c.lines, "%s\n", line)
	return true, err
}
