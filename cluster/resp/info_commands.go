package resp

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// infoCPU is what the system says the process used, in seconds.
func infoCPU() (f []InfoField) {
	for _, of := range []struct {
		who    int
		suffix string
	}{{syscall.RUSAGE_SELF, ""}, {syscall.RUSAGE_CHILDREN, "_children"}} {
		var usage syscall.Rusage
		if syscall.Getrusage(of.who, &usage) != nil {
			continue
		}
		f = append(f, InfoField{"used_cpu_sys" + of.suffix, seconds(usage.Stime)}, InfoField{"used_cpu_user" + of.suffix, seconds(usage.Utime)})
	}
	return f
}

func seconds(t syscall.Timeval) string {
	return strconv.FormatFloat(time.Duration(t.Nano()).Seconds(), 'f', 6, 64)
}

// infoCommands gives what each command was called, took and failed. usec_per_call is of the calls that were timed.
func (s *Server) infoCommands() (f []InfoField) {
	for spec, of := range s.stats.specs {
		calls, rejected, failed := of.calls.Load(), of.rejected.Load(), of.failed.Load()
		if calls+rejected+failed == 0 {
			continue
		}
		nanos, timed := of.nanos.Load(), of.timed.Load()
		each := float64(nanos) / 1000 / float64(max(timed, 1))
		f = append(f, InfoField{"cmdstat_" + spec.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, nanos/1000, each, rejected, failed)})
	}
	return byName(f)
}

func (s *Server) infoErrors() (f []InfoField) {
	_, kinds := s.stats.errors.counts()
	for kind, n := range kinds {
		f = append(f, InfoField{"errorstat_" + kind, "count=" + strconv.FormatUint(n, 10)})
	}
	return byName(f)
}

func (s *Server) infoLatencies() (f []InfoField) {
	for spec := range s.stats.specs {
		if t := s.stats.appendTimes(nil, spec); t != nil {
			f = append(f, InfoField{"latency_percentiles_usec_" + spec.Name, t[0].percentiles()})
		}
	}
	return byName(f)
}

func (t *timesOf) percentiles() string {
	micros := func(percent float64) float64 { return float64(percentile(&t.counts, t.total, percent)) / 1000 }
	return fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f", micros(50), micros(99), micros(99.9))
}

func byName(f []InfoField) []InfoField {
	slices.SortFunc(f, func(a, b InfoField) int { return cmp.Compare(a.Name, b.Name) })
	return f
}
