package robustness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Client runs commands one at a time on one node.
type Client struct {
	redis  *redis.Client
	prefix string // put before each key
}

// answerLimit is how long a client waits for an answer before its outcome is unknown.
const answerLimit = 3 * time.Second

// Dial makes a client of a node. It never repeats a command by itself: what is sent once must not happen twice.
func Dial(addr, prefix string, resp int) *Client {
	return &Client{prefix: prefix, redis: redis.NewClient(&redis.Options{
		Addr: addr, Protocol: resp, MaxRetries: -1, PoolSize: 1,
		DialTimeout: time.Second, DialerRetries: 1, ReadTimeout: answerLimit, WriteTimeout: time.Second, ContextTimeoutEnabled: true,
	})}
}

// Close drops the connection.
func (c *Client) Close() { _ = c.redis.Close() }

// errNotRun: the command certainly had no effect and will have none.
var errNotRun = errors.New("robustness: the command was not run")

// Run sends a command. The error is errNotRun, wrapped with the reason; everything else that goes wrong is an unknown
// outcome, for which Output.Why tells the reason.
func (c *Client) Run(ctx context.Context, in Input) (Output, error) {
	key := c.prefix + in.Key
	var out Output
	var err error
	switch in.Op {
	case Get:
		out.Value, err = c.redis.Get(ctx, key).Result()
		if errors.Is(err, redis.Nil) {
			return Output{Absent: true}, nil
		}
	case Set:
		err = c.redis.Set(ctx, key, in.Value, 0).Err()
	case SetNX:
		out.N, err = c.redis.Do(ctx, "SETNX", key, in.Value).Int64()
	case Incr:
		out.N, err = c.redis.Incr(ctx, key).Result()
	case Del:
		out.N, err = c.redis.Del(ctx, key).Result()
	}
	if err == nil {
		return out, nil
	}
	return classify(err)
}

// refusals begin the errors that promise that nothing was done and nothing will be.
var refusals = []string{"ERR_CLUSTER_CHANGED", "CLUSTERDOWN", "BUSY", "MOVED", "NOAUTH", "The cluster is only allowing syncer write"}

// notInteger is Redis's error.
const notInteger = "ERR value is not an integer or out of range"

// classify says what an error means for the outcome.
func classify(err error) (Output, error) {
	var reply redis.Error
	if errors.As(err, &reply) {
		text := reply.Error()
		if text == notInteger {
			return Output{NotInteger: true}, nil
		}
		for _, r := range refusals {
			if strings.HasPrefix(text, r) {
				return Output{}, fmt.Errorf("%w: %w", errNotRun, err)
			}
		}
		return Output{Unknown: true, Why: text}, nil
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return Output{}, fmt.Errorf("%w: %w", errNotRun, err)
	}
	return Output{Unknown: true, Why: err.Error()}, nil
}
