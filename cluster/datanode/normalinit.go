package datanode

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/replay/equal"
	"github.com/zankv/zankv/replay/problem"
)

// initState is the last normal init that was begun at this node.
type initState struct {
	sync.Mutex
	last initReply
}

// initReply tells of a normal init.
type initReply struct {
	Running bool           `json:"running"`
	Source  string         `json:"source,omitempty"`
	Begun   *time.Time     `json:"begun,omitempty"`
	Ended   *time.Time     `json:"ended,omitempty"`
	Done    bool           `json:"done"`
	Message string         `json:"message,omitempty"`
	Result  *equal.Adopted `json:"result,omitempty"`
}

// tell answers GET /syncer/normalinit: what the last one that was begun here did.
func (s *initState) tell(w http.ResponseWriter, _ *http.Request) {
	s.Lock()
	defer s.Unlock()
	reply(w, s.last)
}

// begin is false while another one runs.
func (s *initState) begin(source string, now time.Time) bool {
	s.Lock()
	defer s.Unlock()
	if s.last.Running {
		return false
	}
	s.last = initReply{Running: true, Source: source, Begun: &now}
	return true
}

func (s *initState) end(done *equal.Adopted, err error, now time.Time) initReply {
	s.Lock()
	defer s.Unlock()
	s.last.Running, s.last.Ended, s.last.Result, s.last.Done = false, &now, done, err == nil
	if err != nil {
		s.last.Message = err.Error()
	}
	return s.last
}

// initRequest is what a POST asks for.
type initRequest struct {
	source    []string
	namespace string
	force     bool
}

func parseInit(req *http.Request) (r initRequest, err error) {
	query := req.URL.Query()
	if query.Get("source") == "" {
		return r, errors.New("source is missing: give HOST:GRPC of a node of the cluster whose changes are to be taken from here on, as both hold the same: " +
			"POST /syncer/normalinit?source=10.0.0.1:12382&namespace=default[&force=true]. It is an operation, no switch: there is nothing to turn off afterwards")
	}
	r.source, r.namespace = strings.Split(query.Get("source"), ","), query.Get("namespace")
	if r.namespace == "" {
		return r, errors.New("namespace is missing")
	}
	if err := meta.ValidateNamespaceName(r.namespace); err != nil {
		return r, err
	}
	if text := query.Get("force"); text != "" {
		r.force, err = strconv.ParseBool(text)
	}
	return r, err
}

// doNormalInit answers POST /syncer/normalinit?source=HOST:GRPC[,…]&namespace=<name>[&force=true]: this cluster goes on from where the source is,
// because both hold the same. Any node can be asked. 409 says that they differ: then nothing was adopted, unless it is forced.
func (n *Node) doNormalInit(w http.ResponseWriter, req *http.Request) {
	want, err := parseInit(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if !n.normalInit.begin(strings.Join(want.source, ","), time.Now()) {
		refuse(w, http.StatusConflict, errors.New("another normal init is running here: GET /syncer/normalinit tells"))
		return
	}
	done, err := n.adopt(req, &want)
	answer := n.normalInit.end(done, err, time.Now())
	if err != nil {
		n.opts.Logger.Warn("normal init failed", "source", want.source, "namespace", want.namespace, "error", err)
	} else {
		n.opts.Logger.Info("normal init", "source", done.Source, "namespace", want.namespace, "equal", done.Equal, "forced", want.force)
	}
	replyStatus(w, initStatus(err), answer)
}

func initStatus(err error) int {
	p, named := problem.Of(err)
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, equal.ErrDiffer):
		return http.StatusConflict
	case named && p.Kind == problem.Unknown:
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

func (n *Node) adopt(req *http.Request, want *initRequest) (_ *equal.Adopted, err error) {
	source, err := equal.Dial(want.source)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	here, err := n.dialSelf()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, here.Close()) }()
	return equal.Adopt(req.Context(), source, here, want.namespace, equal.AdoptOptions{Force: want.force})
}

// dialSelf reaches this cluster as another one would.
func (n *Node) dialSelf() (*equal.Cluster, error) {
	return equal.Dial([]string{net.JoinHostPort(n.opts.Advertise, strconv.Itoa(port(n.opts.Listeners.GRPC)))})
}

// setIndex answers POST /syncer/setindex/<cluster>, which ZanKV has: a place that is set by hand would skip changes, or need what is gone.
func setIndex(w http.ResponseWriter, req *http.Request) {
	refuse(w, http.StatusNotImplemented, fmt.Errorf("a place of cluster %.80q can't be set by hand. If both clusters hold the same, "+
		"POST /syncer/normalinit?source=HOST:GRPC&namespace=NAME takes over where it is; otherwise its syncer does a full sync by itself", req.PathValue("cluster")))
}
