package conformance

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

// layer is the pure command layer as a Target.
type layer struct{ *commandtest.Executor }

func newLayer(t *testing.T, resp3 bool) *layer {
	e := commandtest.NewExecutor(func() int64 { return time.Now().UnixMilli() }, func(problem string) { t.Error(problem) })
	e.RESP3 = resp3
	return &layer{e}
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
