package worker

import (
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/zankv/zankv/cdc/changefeed"
)

// sinks are the open ones of this process, one for each definition that has partitions here.
type sinks struct {
	openers map[string]OpenSink
	mu      struct {
		sync.Mutex
		open map[sinkKey]*sharedSink
	}
}

type sinkKey struct {
	feed       string
	generation uint64
}

// sharedSink is used by several partitions. Its own lock is held while it is opened, so that one opens and the others wait.
type sharedSink struct {
	users int // guarded by sinks.mu
	mu    sync.Mutex
	sink  changefeed.Sink
}

func newSinks(openers map[string]OpenSink) *sinks {
	s := &sinks{openers: openers}
	s.mu.open = map[sinkKey]*sharedSink{}
	return s
}

// acquire gives the sink of a definition. release, which is to be called once in any case, closes it after its last user.
func (s *sinks) acquire(spec *changefeed.Spec) (sink changefeed.Sink, release func() error, err error) {
	key := sinkKey{spec.ID, spec.Generation}
	s.mu.Lock()
	shared := s.mu.open[key]
	if shared == nil {
		shared = &sharedSink{}
		s.mu.open[key] = shared
	}
	shared.users++
	s.mu.Unlock()
	release = func() error { return s.release(key, shared) }
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.sink == nil {
		shared.sink, err = s.open(spec)
	}
	return shared.sink, release, err
}

func (s *sinks) release(key sinkKey, shared *sharedSink) error {
	s.mu.Lock()
	shared.users--
	last := shared.users == 0
	if last {
		delete(s.mu.open, key)
	}
	s.mu.Unlock()
	if !last || shared.sink == nil {
		return nil
	}
	return shared.sink.Close()
}

func (s *sinks) open(spec *changefeed.Spec) (changefeed.Sink, error) {
	bad := &changefeed.Error{
		Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true,
		What:   fmt.Sprintf("changefeed %s: the sink can't be opened", spec.ID),
		Action: fmt.Sprintf("correct the URI: zankv-cdc changefeed update %s --sink-uri …", spec.ID),
	}
	u, err := url.Parse(spec.SinkURI)
	if err != nil {
		bad.Err = err
		return nil, bad
	}
	open := s.openers[u.Scheme]
	if open == nil {
		bad.Err = fmt.Errorf("this process has no sinks of the scheme %q", u.Scheme)
		return nil, bad
	}
	sink, err := open(spec)
	if err == nil {
		return sink, nil
	}
	var known *changefeed.Error
	if errors.As(err, &known) {
		return nil, known
	}
	bad.Err = err
	return nil, bad
}
