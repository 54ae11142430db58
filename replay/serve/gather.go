package serve

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// MaxPart is how many bytes one part of a call may bring.
const MaxPart = 4 << 20

// receiver is where parts come from: a gRPC stream.
type receiver interface {
	Recv() (*replaypb.ApplyRequest, error)
}

// parts are a call's, each with a bound on how long it may be waited for.
type parts struct {
	want  chan struct{}
	found chan part
	quiet time.Duration
}

type part struct {
	msg *replaypb.ApplyRequest
	err error
}

// receive has a goroutine read one part whenever one is wanted: a stream can't be read with a deadline. It ends with the call, as reading does; end
// must be called before that.
func (s *Server) receive(from receiver) *parts {
	p := &parts{want: make(chan struct{}), found: make(chan part, 1), quiet: s.opts.Quiet}
	s.receivers.Go(func() {
		for range p.want {
			msg, err := from.Recv()
			p.found <- part{msg, err}
		}
	})
	return p
}

func (p *parts) end() { close(p.want) }

// next waits for a part.
func (p *parts) next(ctx context.Context) (*replaypb.ApplyRequest, error) {
	timer := time.NewTimer(p.quiet)
	defer timer.Stop()
	p.want <- struct{}{}
	select {
	case got := <-p.found:
		if errors.Is(got.err, io.EOF) {
			return nil, malformed("the stream ended before its last part")
		}
		if got.err == nil && len(got.msg.Data) > MaxPart {
			return nil, problem.New(problem.Invalid, "replay: a part of %d bytes: want at most %d", len(got.msg.Data), MaxPart)
		}
		return got.msg, got.err
	case <-timer.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "replay: nothing was sent for %s", p.quiet)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// gather puts a call's parts together, of which first is there. What it returns is Header.size bytes.
func (p *parts) gather(ctx context.Context, first *replaypb.ApplyRequest, size int) ([]byte, error) {
	if first.Last && len(first.Data) == size {
		return first.Data, nil
	}
	all := make([]byte, 0, size)
	for m := first; ; {
		if len(all)+len(m.Data) > size {
			return nil, malformed("its parts have over %d bytes, which is the size that the header says", size)
		}
		all = append(all, m.Data...)
		if m.Last {
			break
		}
		var err error
		if m, err = p.next(ctx); err != nil {
			return nil, err
		}
		if m.Header != nil {
			return nil, malformed("a header in a later part")
		}
	}
	if len(all) != size {
		return nil, malformed("its parts have %d bytes, and the header says %d", len(all), size)
	}
	return all, nil
}
