// Package sinks says which sinks there are: one place for every process that runs changefeeds.
package sinks

import (
	"context"
	"log/slog"
	"strings"

	"github.com/zankv/zankv/cdc/archive"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/replay"
)

// Set is what a process needs of them, by the schemes of their URIs.
type Set struct {
	// Open makes a definition's sink. It connects to nothing.
	Open map[string]worker.OpenSink
	// Check says what is wrong with a definition, as far as that shows without connecting: a *changefeed.Error.
	Check map[string]func(ctx context.Context, s *changefeed.Spec) error
	// OpenArchive reads what a file:// changefeed wrote.
	OpenArchive worker.OpenArchive
	// Close ends the connections that sinks have to their own cluster. They must be closed.
	Close func() error
}

// Options are what sinks are made with.
type Options struct {
	// Cluster is the id of the cluster whose changes go into them, Nodes are gRPC addresses of its nodes, host:port: who carries changes into
	// another cluster tells them what that has.
	Cluster string
	Nodes   []string
	Logger  *slog.Logger
}

// All are the sinks for a process of a cluster. They connect to nothing before they are used.
func All(o Options) Set {
	cluster, logger := o.Cluster, o.Logger
	own := replay.NewClient(replay.ClientOptions{Nodes: o.Nodes, Logger: logger})
	set := Set{
		Close: own.Close,
		Open: map[string]worker.OpenSink{
			replay.Scheme: func(s *changefeed.Spec) (changefeed.Sink, error) {
				return opened(replay.Open(s, replay.Options{Confirm: own, Logger: logger}))
			},
			"kafka": func(s *changefeed.Spec) (changefeed.Sink, error) {
				return opened(kafka.OpenSpec(s, logger))
			},
			"file": func(s *changefeed.Spec) (changefeed.Sink, error) {
				return opened(archive.New(s, archive.Options{Logger: logger}))
			},
		},
		OpenArchive: func(ctx context.Context, s *changefeed.Spec, partition uint32, at changefeed.Place) (changefeed.Stream, error) {
			return archive.OpenStream(ctx, s, cluster, partition, at)
		},
	}
	set.Check = map[string]func(context.Context, *changefeed.Spec) error{}
	for scheme, open := range set.Open {
		set.Check[scheme] = func(_ context.Context, s *changefeed.Spec) error { return check(s, cluster, open) }
	}
	return set
}

// opened keeps a nil pointer from becoming an interface that isn't nil.
func opened[S changefeed.Sink](sink S, err error) (changefeed.Sink, error) {
	if err != nil {
		return nil, err
	}
	return sink, nil
}

// check opens the sink, which reads the URI and the files that it names, and looks at what opening doesn't.
func check(s *changefeed.Spec, cluster string, open worker.OpenSink) error {
	sink, err := open(s)
	if err != nil {
		return err
	}
	if err := sink.Close(); err != nil {
		return misconfigured("the sink can't be closed", err)
	}
	if strings.HasPrefix(s.SinkURI, "kafka:") {
		c, err := kafka.ParseURI(s.SinkURI)
		if err == nil {
			_, err = c.Topic(cluster, s.Namespace)
		}
		if err != nil {
			return misconfigured("the sink's URI can't be used", err)
		}
	}
	if s.Archive == "" {
		return nil
	}
	if _, err := archive.ParseURI(s.Archive); err != nil {
		return misconfigured("the archive can't be used", err)
	}
	return nil
}

func misconfigured(what string, err error) error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true, What: what, Err: err}
}
