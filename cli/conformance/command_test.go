package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// layer is the pure command layer as a Target, with the commands that make other types for WRONGTYPE's sake.
type layer struct{ *commandtest.Executor }

func newLayer(t *testing.T, resp3 bool) *layer {
	e := commandtest.NewExecutor(func() int64 { return time.Now().UnixMilli() }, func(problem string) { t.Error(problem) })
	e.RESP3 = resp3
	return &layer{e}
}

var makers = map[string]event.Type{"hset": event.TypeHash, "sadd": event.TypeSet, "zadd": event.TypeZSet}

func (l *layer) Do(args ...[]byte) []byte {
	if kind := makers[strings.ToLower(string(args[0]))]; kind != 0 {
		return l.make(kind, args)
	}
	return l.Executor.Do(args...)
}

func (l *layer) make(kind event.Type, args [][]byte) []byte {
	if len(args) < 3 {
		return fmt.Appendf(nil, "-ERR wrong number of arguments for '%s' command\r\n", strings.ToLower(string(args[0])))
	}
	key := string(args[1])
	old, ok := l.Store.Rows()[key]
	if !ok || old.Expired(l.Now()) {
		old = event.Meta{Version: event.Version{Time: 1, Cluster: 1}}
	} else if old.Type != kind {
		return []byte("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	}
	old.Type, old.Generation = kind, 7
	if old.Count++; kind == event.TypeList {
		old.Count += uint64(len(args) - 3)
	}
	l.Store.Put(key, old)
	return fmt.Appendf(nil, ":%d\r\n", old.Count)
}

func TestCommandLayerRESP2(t *testing.T) {
	Run(t, newLayer(t, false), Dial(t, StartRedis(t)), seed(t))
}

func TestCommandLayerRESP3(t *testing.T) {
	Run(t, newLayer(t, true), Dial(t, StartRedis(t), "hello 3"), seed(t))
}

// seed draws a new one for each run: random prints it when it fails. To run one again, return it here.
func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	t.Logf("seed %d", s)
	return s
}
