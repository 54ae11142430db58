package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// What ends an attempt beside failures.
var (
	errStop      = errors.New("changefeed worker: told to stop")
	errLost      = errors.New("changefeed worker: the claim was lost")
	errLate      = errors.New("changefeed worker: the sink didn't take everything in time")
	errFinished  = errors.New("changefeed worker: the end was reached")
	errCompacted = errors.New("changefeed worker: the place in the log was lost")
)

// actions are what to do about causes, where the error that names one doesn't say.
var actions = map[changefeed.Code]string{
	changefeed.CodeSourceDown:      "see that the partition has replicas that serve: placedriver's view of it, and the nodes' logs",
	changefeed.CodeHistory:         "the cluster was restored, or the sink is another changefeed's: set the checkpoint by hand, or create a changefeed with a sink of its own",
	changefeed.CodeCorrupt:         "compare the partition's replicas, and restore the one that is damaged",
	changefeed.CodeBrokerDown:      "see that the broker is up and can be reached from this process",
	changefeed.CodeBrokerSlow:      "look at the broker: load, disk, replicas that are slow to follow",
	changefeed.CodeBrokerThrottled: "raise the broker's quota of this client",
	changefeed.CodeBrokerStorage:   "see that the broker's disks have room, and that enough replicas are in sync (min.insync.replicas)",
	changefeed.CodeBrokerAuth:      "correct the credentials, or the rights that the broker gives them, then resume",
	changefeed.CodeTopic:           "create the topic as the changefeed wants it, or name another, then resume",
	changefeed.CodeMessageTooLarge: "raise the topic's max.message.bytes, then resume",
	changefeed.CodeSinkConfig:      "correct the sink URI, then resume",
	changefeed.CodeSinkStorage:     "see that the files' disk has room and can be written",
	changefeed.CodeSinkDiverged:    "give the changefeed a sink of its own, or set the checkpoint by hand, then resume",
	changefeed.CodeTargetDown:      "see that the target cluster's nodes are up, that its partitions have leaders, and that this process can reach their gRPC port; it goes on trying",
	changefeed.CodeTargetOverload:  "look at the target's nodes: load, disk, replicas that are slow to follow; give them more replay_memory_bytes if that is what they lack",
	changefeed.CodeTargetWaits:     "nothing at first: the change comes by the third cluster's own syncer; see that it runs",
	changefeed.CodeTargetGap:       "nothing, if it goes on by itself; else the target was restored: have it begin anew with a full sync (forget the sender there)",
	changefeed.CodeTargetConfig:    "create the namespace in the target cluster, or correct the sink URI; it goes on trying",
	changefeed.CodeTargetRefused:   "act as the target's message says; compare the versions of both clusters",
	changefeed.CodeNeedsSync:       "nothing: a full sync follows by itself",
	changefeed.CodeClock:           "set the clocks of both clusters' machines (NTP); max_clock_offset in the target is what it bears",
	changefeed.CodeRegistry:        "see that etcd is up and can be reached from this process",
	changefeed.CodeInternal:        "report it with the log of the process that ran it; resume to try again",
}

// troubleOf is how an error is told to people.
func troubleOf(id string, err *changefeed.Error) *changefeed.Trouble {
	t := &changefeed.Trouble{Stage: err.Stage, Code: err.Code, Reason: err.Error(), Action: err.Action}
	if t.Action == "" {
		t.Action = actions[err.Code]
	}
	if err.Final && t.Action == "" {
		t.Action = fmt.Sprintf("zankv-cdc changefeed resume %s, when the cause is gone", id)
	}
	return t
}

// asError gives whatever a sink or the worker itself ran into a cause.
func asError(err error) *changefeed.Error {
	var known *changefeed.Error
	if errors.As(err, &known) {
		return known
	}
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, What: "the sink failed and named no cause", Err: err}
}

// sourceError gives what a source ran into a cause; errCompacted if the log no longer has the place.
func (w *worker) sourceError(err error) error {
	var known *changefeed.Error
	if errors.As(err, &known) {
		return known
	}
	e := &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceDown, What: fmt.Sprintf("the feed of %s-%d can't be read", w.spec.Namespace, w.partition), Err: err}
	var problem *feed.Error
	switch {
	case errors.As(err, &problem) && problem.Kind == feed.Compacted:
		return fmt.Errorf("%w: %w", errCompacted, err)
	case errors.As(err, &problem) && problem.Kind == feed.Mismatch:
		e.Code, e.Final = changefeed.CodeHistory, true
	case errors.As(err, &problem) && problem.Kind == feed.Ahead:
		// The replicas may have been restarted and not know yet what they had committed. Later it is for good.
		e.Code, e.Final = changefeed.CodeHistory, w.failingFor() > patience
		e.What = fmt.Sprintf("the log of %s-%d ends before the place to go on", w.spec.Namespace, w.partition)
	case isUnknown(err):
		e.Final = w.failingFor() > patience
		e.What = fmt.Sprintf("%s-%d isn't known", w.spec.Namespace, w.partition)
		e.Action = "create the namespace, then resume; or remove the changefeed"
	case errors.Is(err, event.ErrCorrupt):
		e.Code, e.What = changefeed.CodeCorrupt, fmt.Sprintf("the feed of %s-%d isn't what it should be", w.spec.Namespace, w.partition)
	}
	return e
}

// isUnknown says whether there is no such namespace or partition.
func isUnknown(err error) bool {
	var problem *feed.Error
	return errors.Is(err, feed.ErrUnknown) || errors.As(err, &problem) && problem.Kind == feed.Unknown
}

// ended prefers why a context ended to what somebody made of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// guard calls f, and makes an error of a panic.
func (w *worker) guard(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("a changefeed worker panicked", "in", what, "panic", p, "stack", string(debug.Stack()))
			err = &changefeed.Error{Code: changefeed.CodeInternal, Final: true, What: fmt.Sprintf("%s panicked: %v", what, p)}
		}
	}()
	return f()
}
