package robustness

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
)

// SetSyncerOnly switches, by any node, who may write to a cluster.
func SetSyncerOnly(ctx context.Context, n *processes.Node, only bool) error {
	return postOK(ctx, fmt.Sprintf("http://%s/synceronly?enable=%v", n.HTTP(), only))
}

// repairStep is a line that zankv-repair switchover and failover print with --json.
type repairStep struct{ Step, State, Message string }

// repairing is a run of zankv-repair, its steps as they come.
type repairing struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	ended  chan struct{}
	mu     struct {
		sync.Mutex
		steps []repairStep
		err   error
	}
}

// startRepair starts a command of zankv-repair that prints steps.
func startRepair(ctx context.Context, binary string, args ...string) (*repairing, error) {
	r := &repairing{cmd: exec.CommandContext(ctx, binary, args...), ended: make(chan struct{})}
	r.cmd.Stderr = &r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("robustness: %w", err)
	}
	go func() {
		defer close(r.ended)
		for lines := json.NewDecoder(out); ; {
			var s repairStep
			err := lines.Decode(&s)
			r.mu.Lock()
			if err == nil {
				r.mu.steps = append(r.mu.steps, s)
			}
			r.mu.Unlock()
			if err != nil {
				break
			}
		}
		err := r.cmd.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.mu.err = err; err != nil {
			r.mu.err = fmt.Errorf("robustness: zankv-repair %s: %w: %+v\n%s", strings.Join(args, " "), err, r.mu.steps, r.stderr.String())
		}
	}()
	return r, nil
}

// reaches returns when a step is in a state, or the run has ended.
func (r *repairing) reaches(ctx context.Context, name, state string) error {
	return Until(ctx, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.mu.steps {
			if s.Step == name && s.State == state {
				return nil
			}
		}
		select {
		case <-r.ended:
			return nil
		default:
			return fmt.Errorf("robustness: step %s isn't %s: %+v", name, state, r.mu.steps)
		}
	})
}

// wait returns the steps when the run has ended.
func (r *repairing) wait() ([]repairStep, error) {
	<-r.ended
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.steps, r.mu.err
}

// foldsUpTo folds what partitions of A hold up to the places that partitions of B have of them: what B should be. Beyond is how many changes they hold
// besides.
func (p *Pair) foldsUpTo(ctx context.Context, s Shared) (folds []*event.Fold, beyond int, err error) {
	a, b := p.Clusters[0], p.Clusters[1]
	places, err := reachedPlaces(ctx, b, s, a.ClusterID)
	if err != nil {
		return nil, 0, err
	}
	folds = make([]*event.Fold, s.Partitions[1])
	for i := range folds {
		folds[i] = new(event.Fold)
	}
	for from := range s.Partitions[0] {
		err := ReadFeed(ctx, a, s.Name, from, func(l *event.Line, _ event.Names) error {
			to := int(slotOfKey(l.Mutation.Key)) * s.Partitions[1] / slots
			if places[to][from].has(l) {
				folds[to].Line(l)
			} else {
				beyond++
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return folds, beyond, nil
}

// place is how far a partition of A is in one of B.
type place struct {
	position event.Position
	done     uint32
}

func (p place) has(l *event.Line) bool {
	c := l.Stamp.Position.Compare(p.position)
	return c < 0 || c == 0 && l.Seq < p.done
}

// sharing says, by partition of B, which partitions of A have a slot in common with it.
func (s Shared) sharing() []map[int]bool {
	all := make([]map[int]bool, s.Partitions[1])
	for slot := range slots {
		to := slot * s.Partitions[1] / slots
		if all[to] == nil {
			all[to] = map[int]bool{}
		}
		all[to][slot*s.Partitions[0]/slots] = true
	}
	return all
}

// reachedPlaces are by partition of B, then by partition of the sender: of those that share keys with it, and of no others.
func reachedPlaces(ctx context.Context, b *processes.Cluster, s Shared, sender string) ([]map[int]place, error) {
	all, sharing := make([]map[int]place, s.Partitions[1]), s.sharing()
	for to := range all {
		places, err := leaderPlaces(ctx, b, s.Name, to)
		if err != nil {
			return nil, err
		}
		all[to] = map[int]place{}
		for _, p := range places.Senders {
			if p.Sender.Cluster == sender && p.Reached.GetPosition() != nil {
				at := event.Position{Term: p.Reached.Position.Term, Index: p.Reached.Position.Index}
				all[to][int(p.Sender.Partition)] = place{at, p.Reached.Done}
			}
		}
		for from := range s.Partitions[0] {
			if _, has := all[to][from]; has != sharing[to][from] {
				return nil, fmt.Errorf("robustness: partition %d of %s has a place of partition %d of %s: %v, want %v", to, b.ClusterID, from, sender, has, sharing[to][from])
			}
		}
	}
	return all, nil
}

// slotOfKey is Redis Cluster's slot of a key: CRC-16/XMODEM of the key, or of what is between its first braces.
func slotOfKey(key []byte) uint16 {
	text := string(key)
	if _, rest, open := strings.Cut(text, "{"); open {
		if tag, _, shut := strings.Cut(rest, "}"); shut && tag != "" {
			text = tag
		}
	}
	var sum uint16
	for i := range len(text) {
		sum ^= uint16(text[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum % slots
}
