package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
)

// kafkaCode is a number that a broker answers with.
type kafkaCode = kafkago.Error

var (
	errNoLeader    = errors.New("it has no leader now")
	errLogin       = errors.New("it closes the connection at the first request: does it want a login (sasl=…)?")
	errNoPartition = errors.New("the topic has no such partition")
)

// verdict is what an error means for a changefeed.
type verdict struct {
	code changefeed.Code
	// retry says that the same request may succeed a little later.
	retry  bool
	final  bool
	action string
}

const (
	actionDown    = "Check that the brokers run and that this node reaches the addresses that they advertise (advertised.listeners)."
	actionSlow    = "Look at the brokers' load, disks and request queues, and whether they were stopped."
	actionStorage = "Free or repair the brokers' disks, and bring replicas back until min.insync.replicas are in sync."
	actionAuth    = "Check user, password and mechanism in the sink's URI, the certificates, and the brokers' ACLs: Describe, DescribeConfigs, Write, " +
		"Read and (if the topic is to be created) Create for the topic; Write and Describe for transactional ids that begin with zankv/."
	actionTopic  = "Look at the topic (kafka-topics --describe). Create it anew, or name another one in the sink's URI."
	actionFenced = "Nothing, if the changefeed was taken over by another node. Else see that no other process uses the same cluster id and changefeed id."
	actionReopen = "Nothing: the stream is opened again, which finds out what the broker has."
	actionLarge  = "Raise the topic's max.message.bytes; without that, smaller pieces are tried."
	actionConfig = "Correct the sink's URI."
	actionTime   = "Set the topic's message.timestamp.type=LogAppendTime, or raise its message.timestamp.before.max.ms and after.max.ms; check the clocks."
	actionBug    = "Report it, with the broker's version."
)

// verdicts are those of Kafka's error numbers. What isn't in it is a refusal that we don't know.
var verdicts = map[kafkaCode]verdict{
	kafkago.Unknown:                            {changefeed.CodeBrokerDown, true, false, actionSlow},
	kafkago.InvalidMessage:                     {changefeed.CodeBrokerSlow, true, false, actionSlow},
	kafkago.UnknownTopicOrPartition:            {changefeed.CodeTopic, true, false, actionTopic},
	kafkago.UnknownTopicID:                     {changefeed.CodeTopic, true, false, actionTopic},
	kafkago.LeaderNotAvailable:                 {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.NotLeaderForPartition:              {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.RequestTimedOut:                    {changefeed.CodeBrokerSlow, true, false, actionSlow},
	kafkago.BrokerNotAvailable:                 {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.ReplicaNotAvailable:                {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.NetworkException:                   {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.GroupLoadInProgress:                {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.GroupCoordinatorNotAvailable:       {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.NotCoordinatorForGroup:             {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.NotController:                      {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.ConcurrentTransactions:             {changefeed.CodeBrokerSlow, true, false, actionSlow},
	kafkago.FencedLeaderEpoch:                  {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.UnknownLeaderEpoch:                 {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.OffsetNotAvailable:                 {changefeed.CodeBrokerDown, true, false, actionDown},
	kafkago.ThrottlingQuotaExceeded:            {changefeed.CodeBrokerThrottled, true, false, "Raise the broker's quota for client id " + clientID + "."},
	kafkago.NotEnoughReplicas:                  {changefeed.CodeBrokerStorage, true, false, actionStorage},
	kafkago.NotEnoughReplicasAfterAppend:       {changefeed.CodeBrokerStorage, true, false, actionStorage},
	kafkago.KafkaStorageError:                  {changefeed.CodeBrokerStorage, true, false, actionStorage},
	kafkago.LogDirNotFound:                     {changefeed.CodeBrokerStorage, true, false, actionStorage},
	kafkago.MessageSizeTooLarge:                {changefeed.CodeMessageTooLarge, false, false, actionLarge},
	kafkago.RecordListTooLarge:                 {changefeed.CodeMessageTooLarge, false, false, actionLarge},
	kafkago.InvalidProducerEpoch:               {changefeed.CodeFenced, false, false, actionFenced},
	kafkago.ProducerFenced:                     {changefeed.CodeFenced, false, false, actionFenced},
	kafkago.OutOfOrderSequenceNumber:           {changefeed.CodeFenced, false, false, actionReopen},
	kafkago.DuplicateSequenceNumber:            {changefeed.CodeFenced, false, false, actionReopen},
	kafkago.UnknownProducerId:                  {changefeed.CodeFenced, false, false, actionReopen},
	kafkago.InvalidProducerIDMapping:           {changefeed.CodeFenced, false, false, actionReopen},
	kafkago.TopicAuthorizationFailed:           {changefeed.CodeBrokerAuth, false, false, actionAuth},
	kafkago.ClusterAuthorizationFailed:         {changefeed.CodeBrokerAuth, false, false, actionAuth},
	kafkago.TransactionalIDAuthorizationFailed: {changefeed.CodeBrokerAuth, false, false, actionAuth},
	kafkago.SASLAuthenticationFailed:           {changefeed.CodeBrokerAuth, false, false, actionAuth},
	kafkago.UnsupportedSASLMechanism:           {changefeed.CodeBrokerAuth, false, false, actionAuth},
	kafkago.IllegalSASLState:                   {changefeed.CodeBrokerAuth, false, false, "The broker wants SASL: say sasl=…&user=…&password-file=… in the sink's URI."},
	kafkago.InvalidTopic:                       {changefeed.CodeTopic, false, true, actionTopic},
	kafkago.InvalidPartitionNumber:             {changefeed.CodeTopic, false, true, actionTopic},
	kafkago.InvalidReplicationFactor:           {changefeed.CodeTopic, false, false, "Say a replication that the number of brokers allows, in the sink's URI, or add brokers."},
	kafkago.InvalidConfiguration:               {changefeed.CodeSinkConfig, false, true, "Correct topic-config.… in the sink's URI."},
	kafkago.PolicyViolation:                    {changefeed.CodeTopic, false, false, "Create the topic by hand as the brokers' policy wants it, with as many partitions as the namespace has."},
	kafkago.InvalidTimestamp:                   {changefeed.CodeTopic, false, false, actionTime},
	kafkago.InvalidRecord:                      {changefeed.CodeTopic, false, false, actionTime},
}

// judge says what an error of a request means.
func judge(err error) verdict {
	var refused kafkaCode
	var auth *authError
	var already *changefeed.Error
	switch {
	case errors.As(err, &already):
		return verdict{already.Code, false, already.Final, already.Action}
	case errors.As(err, &auth):
		return verdict{changefeed.CodeBrokerAuth, false, false, actionAuth}
	case errors.As(err, &refused):
		if v, ok := verdicts[refused]; ok {
			return v
		}
		return verdict{changefeed.CodeInternal, false, false, actionBug}
	case errors.Is(err, errLogin): // or it was just ending
		return verdict{changefeed.CodeBrokerAuth, true, false, actionAuth}
	case errors.Is(err, errNotKafka):
		return verdict{changefeed.CodeSinkConfig, false, false, actionConfig}
	case errors.Is(err, errCorrupt):
		return verdict{changefeed.CodeCorrupt, false, false, "Compare the topic's replicas; delete the topic if none is whole, and let the changefeed begin anew."}
	case errors.Is(err, errOffset):
		return verdict{changefeed.CodeTopic, false, false, "Begin where the topic begins: what was before has expired (retention.ms, retention.bytes)."}
	case errors.Is(err, errNoPartition):
		return verdict{changefeed.CodeTopic, false, false, actionTopic}
	case answerOverdue(err):
		return verdict{changefeed.CodeBrokerSlow, true, false, actionSlow}
	}
	return verdict{changefeed.CodeBrokerDown, true, false, actionDown}
}

// answerOverdue says whether a broker that we are connected to doesn't answer, as opposed to one that can't be reached.
func answerOverdue(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// problem makes the error that the operator reads.
func problem(err error, format string, args ...any) *changefeed.Error {
	var already *changefeed.Error
	if errors.As(err, &already) {
		return already
	}
	v := judge(err)
	stage := changefeed.StageBroker
	switch v.code {
	case changefeed.CodeTopic, changefeed.CodeCorrupt, changefeed.CodeSinkConfig, changefeed.CodeFenced, changefeed.CodeMessageTooLarge, changefeed.CodeInternal:
		stage = changefeed.StageSink
	case changefeed.CodeBrokerThrottled:
		stage = changefeed.StageQuota
	}
	return &changefeed.Error{Stage: stage, Code: v.code, Final: v.final, What: fmt.Sprintf(format, args...), Action: v.action, Err: err}
}
