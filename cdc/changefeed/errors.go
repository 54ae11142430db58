package changefeed

import "fmt"

// Code names a cause. It is stable: scripts and alert rules go by it.
type Code string

const (
	CodeNoOwner         Code = "no-owner"
	CodeSourceDown      Code = "source-unreachable" // no replica serves the feed
	CodeSourceSlow      Code = "source-slow"        // reading the feed is what it waits for, although there is more
	CodeHistory         Code = "history-mismatch"   // the position isn't of the partition's history
	CodeLogCompacted    Code = "log-compacted"      // the log no longer has what comes next
	CodePlaceAtRisk     Code = "place-at-risk"      // it will soon not have it
	CodeDecode          Code = "decode"             // encoding is what it waits for
	CodeCorrupt         Code = "corrupt"            // what was read isn't what it should be
	CodeBudget          Code = "byte-budget"        // the process's byte budget is used up
	CodeBandwidth       Code = "bandwidth"          // the definition's own limit
	CodeBrokerDown      Code = "broker-down"        // no connection
	CodeBrokerSlow      Code = "broker-slow"        // it answers, slowly
	CodeBrokerThrottled Code = "broker-quota"       // it throttles
	CodeBrokerStorage   Code = "broker-storage"     // it can't write: disk, not enough replicas in sync
	CodeBrokerAuth      Code = "broker-auth"        // it refuses who we are, or what we want
	CodeTopic           Code = "topic"              // missing, or of another shape than wanted
	CodeMessageTooLarge Code = "message-too-large"  // the broker takes less than it said
	CodeFenced          Code = "fenced"             // another owner took over
	CodeSinkConfig      Code = "sink-config"        // the URI, or what it names, is wrong
	CodeSinkStorage     Code = "sink-storage"       // files can't be written
	CodeSinkDiverged    Code = "sink-diverged"      // the sink holds something else than this changefeed wrote
	CodeSinkBehind      Code = "sink-behind"        // the sink ends before what it had acknowledged
	CodeSinkSlow        Code = "sink-slow"          // a sink that is no broker takes less than comes
	CodeTargetDown      Code = "target-unreachable" // no node of the other cluster answers, or nobody leads the partition there
	CodeTargetOverload  Code = "target-overload"    // it has no room for more at the moment
	CodeTargetWaits     Code = "target-waits"       // what comes next builds upon a third cluster's change that isn't there yet
	CodeTargetGap       Code = "target-gap"         // what was read doesn't join on to what it has
	CodeTargetConfig    Code = "target-config"      // there is no such namespace or partition, or it is the source itself
	CodeTargetRefused   Code = "target-refused"     // it doesn't take what it was sent, as it stands
	CodeNeedsSync       Code = "needs-sync"         // its place can't be gone on from: it gets the whole state
	CodeClock           Code = "clock-offset"       // the source's clock is too far ahead of its own
	CodeRegistry        Code = "registry"           // etcd can't be reached
	CodeDefinition      Code = "definition"         // what the definition says makes no sense
	CodeInternal        Code = "internal"           // a bug
)

// Error is a failure of a changefeed with its cause.
type Error struct {
	Stage Stage
	Code  Code
	// Final says that trying again won't help before somebody acts.
	Final bool
	// What happened and to what; Action is what to do.
	What, Action string
	Err          error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return e.What
}

// Unwrap gives what is behind it.
func (e *Error) Unwrap() error { return e.Err }
