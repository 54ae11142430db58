package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/zankv/zankv/cdc/changefeed"
)

const (
	// createTimeout is how long the brokers may take to create a topic.
	createTimeout = 10 * time.Second
	// brokersDefault is the replication factor that the brokers are configured with.
	brokersDefault = -1
	resourceTopic  = 2
	// fallbackMessageBytes is assumed where the broker doesn't tell: Kafka's own default of max.message.bytes is 12 bytes more.
	fallbackMessageBytes = 1 << 20

	configCleanup    = "cleanup.policy"
	configMaxMessage = "max.message.bytes"
	policyCompact    = "compact"
)

// shape is what counts of a topic for writing to it.
type shape struct {
	compacted bool
	limit     int // of a record batch, in bytes
}

// ensureTopic has a topic of so many partitions, creating it if that is wanted, and returns its shape. onRetry (it may be nil) is told of each error
// after which it tries again.
func (cl *cluster) ensureTopic(ctx context.Context, c *Config, topic string, partitions uint32, onRetry func(error)) (shape, error) {
	var known *metadata.Response
	err := persist(ctx, onRetry, func(ctx context.Context) (err error) {
		if known, err = cl.metadata(ctx, topic); err != nil {
			return err
		}
		refused := code(known.Topics[0].ErrorCode)
		if refused == kafkago.UnknownTopicOrPartition {
			if !c.Create {
				return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTopic,
					What:   fmt.Sprintf("topic %s doesn't exist, and the sink's URI says create=false", topic),
					Action: fmt.Sprintf("Create it with %d partitions, or say create=true.", partitions)}
			}
			return cl.create(ctx, c, topic, partitions)
		}
		return refused
	})
	if err != nil {
		return shape{}, problem(err, "topic %s: looking it up", topic)
	}
	if n := len(known.Topics[0].Partitions); n != int(partitions) {
		return shape{}, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTopic, Final: true,
			What:   fmt.Sprintf("topic %s has %d partitions, the namespace %d: Kafka's partitions have to be the namespace's", topic, n, partitions),
			Action: fmt.Sprintf("Name another topic in the sink's URI, or delete this one: it is created with %d partitions.", partitions)}
	}
	return cl.shapeOf(ctx, c, topic)
}

// create makes the topic. Its error after success says that the cluster doesn't know it everywhere yet: the caller asks again.
func (cl *cluster) create(ctx context.Context, c *Config, topic string, partitions uint32) error {
	request := createtopics.RequestTopic{Name: topic, NumPartitions: int32(partitions), ReplicationFactor: brokersDefault}
	if c.Replication != 0 {
		request.ReplicationFactor = int16(c.Replication)
	}
	for _, name := range sorted(c.TopicConfig) {
		request.Configs = append(request.Configs, createtopics.RequestConfig{Name: name, Value: c.TopicConfig[name]})
	}
	answer, err := cl.askAny(ctx, &createtopics.Request{Topics: []createtopics.RequestTopic{request}, TimeoutMs: int32(createTimeout.Milliseconds())})
	if err != nil {
		return err
	}
	r := answer.(*createtopics.Response)
	if len(r.Topics) != 1 {
		return fmt.Errorf("creation of one topic: %w", errNotKafka)
	}
	switch refused := code(r.Topics[0].ErrorCode); refused {
	case nil, kafkago.TopicAlreadyExists:
		return kafkago.LeaderNotAvailable
	default:
		return fmt.Errorf("creating it with %d partitions: %w: %s", partitions, refused, r.Topics[0].ErrorMessage)
	}
}

// shapeOf asks for the topic's settings. A broker that doesn't let us is taken at its defaults and at the URI's word.
func (cl *cluster) shapeOf(ctx context.Context, c *Config, topic string) (shape, error) {
	s := shape{compacted: hasCompact(c.TopicConfig[configCleanup]), limit: fallbackMessageBytes}
	err := persist(ctx, nil, func(ctx context.Context) error {
		settings, err := cl.settings(ctx, topic)
		if err != nil {
			return err
		}
		s.compacted = hasCompact(settings[configCleanup])
		if n, err := strconv.Atoi(settings[configMaxMessage]); err == nil {
			s.limit = n
		}
		return nil
	})
	if err != nil && judge(err).code != changefeed.CodeBrokerAuth {
		return shape{}, problem(err, "topic %s: reading its settings", topic)
	}
	if c.MaxMessageBytes != 0 {
		s.limit = min(s.limit, c.MaxMessageBytes)
	}
	s.limit = min(s.limit, maxBatchBytes)
	return s, nil
}

func (cl *cluster) settings(ctx context.Context, topic string) (map[string]string, error) {
	answer, err := cl.askAny(ctx, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{
		{ResourceType: resourceTopic, ResourceName: topic, ConfigNames: []string{configCleanup, configMaxMessage}}}})
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, r := range answer.(*describeconfigs.Response).Resources {
		if err := code(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("%w: %s", err, r.ErrorMessage)
		}
		for _, e := range r.ConfigEntries {
			settings[e.ConfigName] = e.ConfigValue
		}
	}
	return settings, nil
}

// hasCompact says whether a cleanup policy, a list, compacts.
func hasCompact(policy string) bool {
	for _, p := range strings.Split(policy, ",") {
		if strings.TrimSpace(p) == policyCompact {
			return true
		}
	}
	return false
}
