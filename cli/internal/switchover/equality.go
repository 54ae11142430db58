package switchover

import (
	"context"
	"fmt"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
)

// Equality is what is known of two clusters' contents, replay/equal's part.
type Equality interface {
	// Compare compares a namespace of From, at the positions (by partition) or after them, with To's.
	Compare(ctx context.Context, namespace string, after []event.Position) (*Comparison, error)
	// Adopt makes To's present positions the places in From from which To's changes come: contents are compared first, unless forced.
	Adopt(ctx context.Context, namespace string, force bool) error
}

// Comparison is what Compare found: the hash slots in which they differ, and how many keys each holds.
type Comparison struct {
	Differing []uint16
	From, To  int64
}

// verify compares both clusters' contents. Nobody writes to either now.
func verify(ctx context.Context, r *Run) (string, error) {
	keys, same := int64(0), true
	for _, ns := range r.state.Namespaces {
		closed, err := r.closed(ns)
		if err != nil {
			return "", err
		}
		c, err := r.Equality.Compare(ctx, ns, closed)
		if err != nil {
			return "", err
		}
		keys += c.From
		if len(c.Differing) == 0 {
			continue
		}
		same = false
		err = r.unless(failure.New(failure.Refused,
			fmt.Sprintf("see the keys that are known to differ: zankv-repair conflicts list --diverged --cluster %s --namespace %s. --force switches over all the same", r.To, ns),
			"namespace %s differs in %d of 16384 hash slots (%s): %d keys in %s, %d in %s", ns, len(c.Differing), slots(c.Differing), c.From, r.state.From.Cluster, c.To, r.state.To.Cluster))
		if err != nil {
			return "", err
		}
	}
	if !same {
		return "the clusters differ, and --force goes on", nil
	}
	return fmt.Sprintf("the checksums of all hash slots agree: %d keys", keys), nil
}

func slots(all []uint16) string {
	const most = 8
	text := strings.Trim(fmt.Sprint(all[:min(len(all), most)]), "[]")
	if len(all) > most {
		text += " …"
	}
	return text
}

// adopt lets changes of To go to From from here on.
func adopt(ctx context.Context, r *Run) (string, error) {
	for _, ns := range r.state.Namespaces {
		if err := r.Equality.Adopt(ctx, ns, r.Force); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("what is written to %s from now on goes to %s without a full sync", r.state.To.Cluster, r.state.From.Cluster), nil
}
