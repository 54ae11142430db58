package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Samples are one round's numbers of one measurement, by name. Names are "system.what.unit" and unique over all
// sections.
type Samples map[string]float64

// Measurement takes one sample, or a few that belong together, and takes some seconds at most.
type Measurement struct {
	Name string
	// Turn orders a round over all sections: measurements with equal turns, which are what is compared, follow each other.
	Turn int
	Run  func(ctx context.Context) (Samples, error)
}

// System is what is measured: it is started once, before the first round, and stopped after the last.
type System interface {
	Name() string
	// Check tells, before anything is started, what is missing.
	Check() error
	// Version is what is measured, for the head of the table.
	Version(ctx context.Context) (string, error)
	// Start returns when the system serves. What it has started is stopped by Stop even if it fails.
	Start(ctx context.Context) error
	Stop()
}

// Section is a part of the benchmark that can be run without the others, but for those that it needs.
type Section struct {
	Name  string
	About string
	// Needs are the sections whose samples the rows compare with.
	Needs   []string
	Systems []System
	// Prepare, if it isn't nil, puts the data there that is measured with, once, when all systems serve.
	Prepare      func(ctx context.Context) error
	Measurements []Measurement
	Rows         []Row
}

// choose returns the sections called for, and those that they need, in their given order. No names means all.
func choose(all []Section, names []string) ([]Section, error) {
	wanted := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		i := slices.IndexFunc(all, func(s Section) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("no section %q: there are %s", name, strings.Join(sectionNames(all), ", "))
		}
		if wanted[name] {
			return nil
		}
		wanted[name] = true
		for _, n := range all[i].Needs {
			if err := add(n); err != nil {
				return fmt.Errorf("section %s: %w", name, err)
			}
		}
		return nil
	}
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s Section) bool { return !wanted[s.Name] }), nil
}

func sectionNames(all []Section) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names
}
