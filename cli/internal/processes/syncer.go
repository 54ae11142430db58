package processes

import (
	"path/filepath"
	"strings"
)

// SyncerOptions say which syncer to run.
type SyncerOptions struct {
	Name string // of the process
	Dir  string // of its log
	// From and To are the two clusters.
	From, To *Cluster
	// Namespaces are which are carried; none: all that both have.
	Namespaces []string
	// Link is what it reaches both by, if they are Linked; nil: as it is.
	Link *Link
	// Flags are further flags of zankv-cdc sync.
	Flags []string
}

// NewSyncer describes a `zankv-cdc sync` of one direction; Start starts it. It is told of all nodes, and finds those that lead by itself.
func NewSyncer(o SyncerOptions) *Process {
	namespaces := "all"
	if len(o.Namespaces) > 0 {
		namespaces = strings.Join(o.Namespaces, ",")
	}
	args := append([]string{"sync", "--source", strings.Join(o.From.LinkedGRPCAddrs(), ","), "--target", strings.Join(o.To.LinkedGRPCAddrs(), ","),
		"--namespace", namespaces, "--name", o.Name}, o.Flags...)
	p := New(o.Name, filepath.Join(o.Dir, o.Name+".log"), o.From.CDC, args...)
	if o.Link != nil {
		p.env = o.Link.Env()
	}
	return p
}
