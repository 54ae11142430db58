package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zankv/zankv/cli/internal/failure"
)

// httpWithin is how long a node has to answer: it asks the leaders of all partitions for up to 10 seconds.
const httpWithin = 20 * time.Second

// maxBody bounds an answer.
const maxBody = 16 << 20

// Role is who may write to a partition.
type Role struct {
	Partition  string `json:"partition"`
	SyncerOnly bool   `json:"syncer_write_only"`
	// Position is that of the switch: the role is in force for everything after it. "" if there never was one.
	Position string `json:"position"`
	Error    string `json:"error"`
}

// Roles are who may write to a cluster.
type Roles struct {
	Message string `json:"message"`
	// SyncerOnly says that clients can write to no partition, Complete that all were asked and have the same role.
	SyncerOnly bool   `json:"syncer_write_only"`
	Complete   bool   `json:"complete"`
	Partitions []Role `json:"partitions"`
}

// Closed says that no client can write, Open that clients can write to all partitions.
func (r *Roles) Closed() bool { return r.Complete && r.SyncerOnly }
func (r *Roles) Open() bool   { return r.Complete && !r.SyncerOnly }

// Roles asks who may write to a namespace.
func (c *Cluster) Roles(ctx context.Context, namespace string) (*Roles, error) {
	return c.roles(ctx, http.MethodGet, url.Values{"namespace": {namespace}})
}

// SetRole switches who may write to a namespace: the syncer only, or clients, too. It may be repeated. Nil says that all partitions were switched.
func (c *Cluster) SetRole(ctx context.Context, namespace string, syncerOnly bool) (*Roles, error) {
	r, err := c.roles(ctx, http.MethodPost, url.Values{"namespace": {namespace}, "enable": {fmt.Sprint(syncerOnly)}})
	if err == nil && (!r.Complete || r.SyncerOnly != syncerOnly) {
		err = failure.New(failure.Unavailable, "repeat it", "POST /synceronly?enable=%v of namespace %s in cluster %s: not all partitions were switched. %s", syncerOnly, namespace, c, r.Message)
	}
	return r, err
}

// roles asks the nodes until one has asked all leaders; or gives the answer of one that couldn't.
func (c *Cluster) roles(ctx context.Context, method string, query url.Values) (*Roles, error) {
	top, err := c.Topology(ctx, query.Get("namespace"))
	if err != nil {
		return nil, err
	}
	var partly *Roles
	var failed []string
	for _, n := range top.Nodes {
		if !n.Alive || n.Http == "" {
			continue
		}
		var r Roles
		status, err := call(ctx, method, n.Http, "/synceronly?"+query.Encode(), &r)
		switch {
		case err == nil && status == http.StatusOK:
			return &r, nil
		case err == nil && len(r.Partitions) > 0:
			partly = &r
		case err == nil:
			err = fmt.Errorf("status %d: %s", status, r.Message)
		}
		failed = append(failed, fmt.Sprintf("%s: %v", n.Http, err))
	}
	if partly != nil {
		return partly, nil
	}
	return nil, failure.New(failure.Unavailable, "see that the nodes run, and that their HTTP port (12380 by default) can be reached from here",
		"no node of cluster %s answered %s /synceronly: %s", top.Cluster, method, strings.Join(failed, "; "))
}

// call asks a node's HTTP API and reads its JSON, whatever the status.
func call(ctx context.Context, method, address, path string, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return 0, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, nil
}

// Clock is how far a node's wall clock is ahead of the one here, to about a second.
type Clock struct {
	Node  string
	Ahead time.Duration
}

// Clocks compares the clocks of the nodes that answer with the one here, by the dates of their HTTP answers.
func (c *Cluster) Clocks(ctx context.Context) ([]Clock, error) {
	top, err := c.Topology(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []Clock
	for _, n := range top.Nodes {
		if n.Alive && n.Http != "" {
			if ahead, err := clock(ctx, n.Http); err == nil {
				all = append(all, Clock{n.Http, ahead})
			}
		}
	}
	return all, ctx.Err()
}

func clock(ctx context.Context, address string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/ping", nil)
	if err != nil {
		return 0, err
	}
	before := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	// The date is cut to the second.
	return date.Add(time.Second / 2).Sub(before.Add(time.Since(before) / 2)), nil
}
