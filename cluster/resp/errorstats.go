package resp

import (
	"maps"
	"strings"
	"sync"
)

// maxErrorKinds bounds how many kinds of errors are counted apart: what comes up beyond it is counted with errorsElse.
const (
	maxErrorKinds = 128
	errorsElse    = "ERRORSTATS_OVERFLOW"
)

// errorStats counts error replies by their first word.
type errorStats struct {
	mu    sync.Mutex
	total uint64
	kinds map[string]uint64
}

// add counts an error. reply begins with the minus sign.
func (e *errorStats) add(reply []byte) {
	kind := string(reply[1:min(len(reply), 64)])
	if i := strings.IndexAny(kind, " \r"); i >= 0 {
		kind = kind[:i]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total++
	if e.kinds == nil {
		e.kinds = make(map[string]uint64)
	}
	if _, known := e.kinds[kind]; !known && len(e.kinds) >= maxErrorKinds {
		kind = errorsElse
	}
	e.kinds[kind]++
}

// counts gives a copy.
func (e *errorStats) counts() (total uint64, kinds map[string]uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total, maps.Clone(e.kinds)
}

func (e *errorStats) reset() {
	e.mu.Lock()
	e.total, e.kinds = 0, nil
	e.mu.Unlock()
}
