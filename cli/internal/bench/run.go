package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Options say what is run and how long.
type Options struct {
	// Zankv, ZankvCDC, RedisServer, RedisBenchmark are the binaries; Self is this program, which is also the etcd member.
	Zankv, ZankvCDC, RedisServer, RedisBenchmark, Self string
	// Dir is where the run's directory is made: on the disk that is to be measured.
	Dir string
	// Only names the sections to run, to which those that they need are added, and disk; empty means all.
	Only []string
	// Rounds is how often everything is measured.
	Rounds int
	// Each is how long one load is kept up.
	Each time.Duration
	// Keys is how many keys the systems are filled with.
	Keys int
	// Progress takes a line per step.
	Progress io.Writer
}

// Quick shortens a run to a check that everything works: its figures mean little.
func (o *Options) Quick() {
	o.Rounds, o.Each, o.Keys = 1, 500*time.Millisecond, 50_000
}

// Run measures and returns the report. It leaves no process and no file behind.
func Run(ctx context.Context, o Options) (rep Report, err error) {
	dir, err := os.MkdirTemp(o.Dir, "zankv-bench-")
	if err != nil {
		return Report{}, err
	}
	defer func() {
		_ = os.RemoveAll(dir)
		if ctx.Err() != nil {
			err = ctx.Err() // what children said as they were ended is of no use
		}
	}()
	o.Dir = dir
	if len(o.Only) > 0 {
		o.Only = append(slices.Clone(o.Only), diskName)
	}
	sections, err := choose(allSections(&o), o.Only)
	if err != nil {
		return Report{}, err
	}
	systems := systemsOf(sections)
	for _, s := range systems {
		if err := s.Check(); err != nil {
			return Report{}, fmt.Errorf("%s: %w", s.Name(), err)
		}
	}
	facts, err := machineFacts(ctx, systems)
	if err != nil {
		return Report{}, err
	}
	stop, err := startSystems(ctx, &o, systems)
	defer stop()
	if err != nil {
		return Report{}, err
	}
	if err := prepare(ctx, &o, sections); err != nil {
		return Report{}, errors.Join(err, examine(systems, err))
	}
	taken := Results{}
	for round := range o.Rounds {
		if err := takeRound(ctx, &o, sections, taken, round); err != nil {
			return Report{}, errors.Join(err, examine(systems, err))
		}
	}
	return newReport(facts, sections, taken)
}

// Limits end what hangs: they are far beyond what anything takes on a busy machine.
const (
	prepareLimit = 10 * time.Minute
	measureLimit = 3 * time.Minute
)

// within does do with a limit of time.
func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// examine asks the systems, if something hung, what they are doing, and says where the answers are.
func examine(systems []System, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	var said []error
	for _, s := range systems {
		if e, ok := s.(interface{ examine() (string, error) }); ok {
			path, err := e.examine()
			if err == nil {
				err = fmt.Errorf("%s: its goroutines are in %s", s.Name(), path)
			}
			said = append(said, err)
		}
	}
	return errors.Join(said...)
}

// prepare puts the data there, section by section.
func prepare(ctx context.Context, o *Options, sections []Section) error {
	for _, s := range sections {
		if s.Prepare == nil {
			continue
		}
		o.say("prepare %s", s.Name)
		if err := within(ctx, prepareLimit, s.Prepare); err != nil {
			return fmt.Errorf("prepare %s: %w", s.Name, err)
		}
	}
	return nil
}

func (o *Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Progress, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

// systemsOf lists each system once, though several sections may have it.
func systemsOf(sections []Section) (all []System) {
	for _, sec := range sections {
		for _, s := range sec.Systems {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// startSystems starts them one after the other. stop is never nil.
func startSystems(ctx context.Context, o *Options, systems []System) (stop func(), err error) {
	var started []System
	stop = func() {
		for _, s := range slices.Backward(started) {
			s.Stop()
		}
	}
	for _, s := range systems {
		o.say("start %s", s.Name())
		started = append(started, s)
		if err := s.Start(ctx); err != nil {
			return stop, fmt.Errorf("start %s: %w", s.Name(), err)
		}
	}
	return stop, nil
}

// takeRound takes every measurement once, in the order of their turns, so that what is compared is measured within seconds.
// Every other round goes the other way, so that none is always the one that comes after a heavy neighbour.
func takeRound(ctx context.Context, o *Options, sections []Section, taken Results, round int) error {
	order := inTurn(sections)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, m := range order {
		var samples Samples
		err := within(ctx, measureLimit+20*o.Each, func(ctx context.Context) (err error) {
			samples, err = m.Run(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("round %d, %s: %w", round+1, m.Name, err)
		}
		o.say("round %d/%d %-28s %s", round+1, o.Rounds, m.Name, samples.list(m.Name))
		taken.add(samples)
	}
	return nil
}

// inTurn is the order of a round: by turn, and sections in their order within one.
func inTurn(sections []Section) (order []Measurement) {
	for _, s := range sections {
		order = append(order, s.Measurements...)
	}
	slices.SortStableFunc(order, func(a, b Measurement) int { return a.Turn - b.Turn })
	return order
}
