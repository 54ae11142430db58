package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/feed"
)

// readSamples reads partition after partition from the earliest event to the end, and again, for Options.Each. Finding the
// replica and connecting counts. The client checks order, gaps and chain of everything.
func readSamples(ctx context.Context, o *Options, z *zankvLocal, name string) (Samples, error) {
	var events, mutations float64
	start := time.Now()
	for i := 0; time.Since(start) < o.Each; i++ {
		e, m, err := readLog(ctx, z.grpc(), i%localPartitions, start.Add(o.Each))
		if err != nil {
			return nil, fmt.Errorf("read partition %d: %w", i%localPartitions, err)
		}
		if e == 0 {
			return nil, fmt.Errorf("partition %d has no events", i%localPartitions)
		}
		events, mutations = events+e, mutations+m
	}
	seconds := time.Since(start).Seconds()
	return Samples{name + ".events": events / seconds, name + ".mutations": mutations / seconds, name + ".per_event": mutations / events}, nil
}

// readLog ends at the end of the log or at a time.
func readLog(ctx context.Context, nodes []string, partition int, until time.Time) (events, mutations float64, err error) {
	r, err := feed.Open(ctx, feed.Config{
		Nodes: nodes, Namespace: localNamespace, Partition: uint32(partition), From: feed.Earliest(), GiveUp: watchWait,
	})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events, mutations, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if item.Event == nil {
			continue
		}
		events++
		mutations += float64(len(item.Event.Mutations))
		if int(events)%1024 == 0 && time.Now().After(until) {
			return events, mutations, nil
		}
	}
}

// printSamples lets zankv-cdc print partition after partition, as JSON, to nowhere, for at least Options.Each. Its start counts.
func printSamples(ctx context.Context, o *Options, z *zankvLocal) (Samples, error) {
	var all [localPartitions]float64
	for p := range all {
		events, mutations, err := readLog(ctx, z.grpc(), p, time.Now().Add(watchWait))
		if err != nil {
			return nil, fmt.Errorf("count partition %d: %w", p, err)
		}
		if events != mutations {
			return nil, fmt.Errorf("partition %d: %v events with %v mutations: they were to have one each", p, events, mutations)
		}
		all[p] = events
	}
	printed := 0.0
	start := time.Now()
	for p := 0; time.Since(start) < o.Each; p = (p + 1) % localPartitions {
		err := runTo(ctx, nil, o.ZankvCDC, "tail", "--nodes", strings.Join(z.grpc(), ","), "--namespace", localNamespace,
			"--partition", strconv.Itoa(p), "--from", "earliest")
		if err != nil {
			return nil, err
		}
		printed += all[p]
	}
	return Samples{"feed.print.events": printed / time.Since(start).Seconds()}, nil
}
