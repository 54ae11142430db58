// Package sinks says which sinks there are: one place for every process that runs changefeeds.
package sinks

import (
	"context"
	"log/slog"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/kafka"
)

// Set is what a process needs of them, by the schemes of their URIs.
type Set struct {
	// Open makes a definition's sink. It connects to nothing.
	Open map[string]worker.OpenSink
	// Check says what is wrong with a definition, as far as that shows without connecting: a *changefeed.Error.
	Check map[string]func(ctx context.Context, s *changefeed.Spec) error
	// OpenArchive reads what a file:// changefeed wrote.
	OpenArchive worker.OpenArchive
}

// All are the sinks for a process of a cluster.
func All(cluster string, logger *slog.Logger) Set {
	return Set{
		Open: map[string]worker.OpenSink{
			"kafka": func(s *changefeed.Spec) (changefeed.Sink, error) { return openKafka(s, logger) },
		},
		Check: map[string]func(context.Context, *changefeed.Spec) error{
			"kafka": func(_ context.Context, s *changefeed.Spec) error { return checkKafka(s, cluster) },
		},
	}
}

func openKafka(s *changefeed.Spec, logger *slog.Logger) (changefeed.Sink, error) {
	sink, err := kafka.OpenSpec(s, logger)
	if err != nil {
		return nil, err
	}
	return sink, nil
}

// checkKafka reads the URI, the files that it names, and its topic's name.
func checkKafka(s *changefeed.Spec, cluster string) error {
	sink, err := kafka.OpenSpec(s, nil)
	if err != nil {
		return err
	}
	defer sink.Close()
	c, err := kafka.ParseURI(s.SinkURI)
	if err == nil {
		_, err = c.Topic(cluster, s.Namespace)
	}
	if err != nil {
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true, What: "the sink's URI can't be used", Err: err}
	}
	return nil
}
