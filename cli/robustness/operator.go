package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// Operator runs zankv-cdc as a person or a script does, each command a process.
type Operator struct {
	Binary string
	Nodes  []string // gRPC addresses
}

// Outcome is what a command came to.
type Outcome struct {
	Args           []string
	Stdout, Stderr string
	Code           int
}

// Err is nil if the exit code is 0.
func (o *Outcome) Err() error {
	if o.Code == 0 {
		return nil
	}
	return fmt.Errorf("robustness: zankv-cdc %s: exit code %d\n%s%s", strings.Join(o.Args, " "), o.Code, o.Stdout, o.Stderr)
}

// Run runs a command line to its end. The error says that it couldn't be run, or didn't end in time.
func (o *Operator) Run(ctx context.Context, args ...string) (*Outcome, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, o.Binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return nil, fmt.Errorf("robustness: zankv-cdc %s: %w\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), errs.String())
	}
	return &Outcome{Args: args, Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}, nil
}

// Ask runs a command of the cluster with --json, which has to succeed, and reads what it prints into a value; nil is for nobody.
func (o *Operator) Ask(ctx context.Context, into any, args ...string) error {
	done, err := o.Run(ctx, append(args, "--nodes", strings.Join(o.Nodes, ","), "--json")...)
	if err == nil {
		err = done.Err()
	}
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal([]byte(done.Stdout), into); err != nil {
		return fmt.Errorf("robustness: zankv-cdc %s: %w: %s", strings.Join(args, " "), err, done.Stdout)
	}
	return nil
}

// Create defines a changefeed of a namespace.
func (o *Operator) Create(ctx context.Context, id, namespace, sink string, more ...string) (f Feed, err error) {
	err = o.Ask(ctx, &f, append([]string{"changefeed", "create", "-c", id, "--namespace", namespace, "--sink-uri", sink}, more...)...)
	return f, err
}

// Query shows a changefeed.
func (o *Operator) Query(ctx context.Context, id string) (f Feed, err error) {
	err = o.Ask(ctx, &f, "changefeed", "query", "-c", id)
	return f, err
}

// Verify wants a source to be what it should be, strictly: exit code 0.
func (o *Operator) Verify(ctx context.Context, source string, more ...string) (string, error) {
	done, err := o.Run(ctx, append(append([]string{"verify"}, more...), source)...)
	if err != nil {
		return "", err
	}
	return done.Stdout, done.Err()
}

// Feed is a changefeed as --json shows it: what scripts read, so the names are the contract.
type Feed struct {
	ID         string              `json:"id"`
	State      changefeed.State    `json:"state"`
	Trouble    *changefeed.Trouble `json:"trouble"`
	Spec       changefeed.Spec     `json:"spec"`
	Partitions []FeedPartition     `json:"partitions"`
	Totals     struct {
		LagEntries uint64 `json:"lag_entries"`
		LagBytes   uint64 `json:"lag_bytes"`
		Owned      int    `json:"owned"`
	} `json:"totals"`
}

// FeedPartition is one partition of it.
type FeedPartition struct {
	Partition int                 `json:"partition"`
	State     changefeed.State    `json:"state"`
	Trouble   *changefeed.Trouble `json:"trouble"`
	Owner     string              `json:"owner"`
	Position  event.Position      `json:"position"`
	Chain     event.Chain         `json:"chain"`
	Time      int64               `json:"time"`
	Epoch     uint64              `json:"epoch"`
	Figures   changefeed.Figures  `json:"figures"`
}

// Owners are the processes that run it, by partition; "" is nobody.
func (f *Feed) Owners() []string {
	owners := make([]string, len(f.Partitions))
	for i, p := range f.Partitions {
		owners[i] = p.Owner
	}
	return owners
}

// pollEvery is how often something is asked for that says nothing by itself.
const pollEvery = 50 * time.Millisecond

// Until asks again and again until there is no error, or ctx ends: then that is what the last one was.
func Until(ctx context.Context, ask func(ctx context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: last: %w", ctx.Err(), err)
		}
	}
}
