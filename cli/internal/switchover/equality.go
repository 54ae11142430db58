package switchover

import (
	"context"
	"fmt"
	"strings"

	"github.com/zankv/zankv/cli/internal/failure"
)

// Equality is what is known of two clusters' contents, replay/equal's part.
type Equality interface {
	// Compare gives the hash slots in which a namespace of From and To differs, and how many keys each holds.
	Compare(ctx context.Context, namespace string) (differing []uint16, from, to int64, err error)
	// Adopt makes To's present positions the places in From from which To's changes come: contents are compared first, unless forced.
	Adopt(ctx context.Context, namespace string, force bool) error
}

// verify compares both clusters' contents. Nobody writes to either now.
func verify(ctx context.Context, r *Run) (string, error) {
	var keys int64
	for _, ns := range r.state.Namespaces {
		differing, from, to, err := r.Equality.Compare(ctx, ns)
		if err != nil {
			return "", fmt.Errorf("comparing namespace %s: %w", ns, err)
		}
		keys += from
		if len(differing) > 0 {
			err := r.unless(failure.New(failure.Refused,
				fmt.Sprintf("see the keys that are known to differ: zankv-repair conflicts list --diverged --cluster %s --namespace %s. --force switches over all the same", r.To, ns),
				"namespace %s differs in %d of 16384 hash slots (%s): %d keys in %s, %d in %s", ns, len(differing), slots(differing), from, r.state.From.Cluster, to, r.state.To.Cluster))
			if err != nil {
				return "", err
			}
		}
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
			return "", fmt.Errorf("namespace %s: %w", ns, err)
		}
	}
	return fmt.Sprintf("what is written to %s from now on goes to %s without a full sync", r.state.To.Cluster, r.state.From.Cluster), nil
}
