package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/replay"
)

// answerWithin bounds what is asked of a cluster at once; a pause takes until nobody works on it.
const answerWithin = 30 * time.Second

// namespaces are those to carry that both clusters have; one that was named and isn't there is an *Error.
func (s *Syncer) namespaces(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	source, err := s.source.Topology(ctx, "")
	if err != nil {
		return nil, unreachable("source", s.o.Source, err)
	}
	target, err := s.target.Topology(ctx, "")
	if err != nil {
		return nil, unreachable("target", s.o.Target, err)
	}
	if target.GetCluster() != s.targetID {
		return nil, &Error{Kind: Differs, What: fmt.Sprintf("the target's nodes are of cluster %s now, and were of %s", target.GetCluster(), s.targetID),
			Action: "start a process for each target, with nodes of that one alone"}
	}
	for _, n := range s.o.Namespaces {
		for what, names := range map[string][]string{"source " + s.sourceID: source.GetNamespaces(), "target " + s.targetID: target.GetNamespaces()} {
			if !slices.Contains(names, n) {
				return nil, &Error{Kind: Unknown, What: fmt.Sprintf("there is no namespace %q in the %s", n, what), Action: "create it there (zankv namespace create), or leave it out of --namespace"}
			}
		}
	}
	var all []string
	for _, n := range source.GetNamespaces() {
		if slices.Contains(target.GetNamespaces(), n) && s.wants(n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// wants says whether a namespace is one to carry.
func (s *Syncer) wants(namespace string) bool {
	return len(s.o.Namespaces) == 0 || slices.Contains(s.o.Namespaces, namespace)
}

func unreachable(what string, nodes []string, err error) error {
	return &Error{Kind: Unreachable, What: fmt.Sprintf("the %s cluster can't be asked at %s", what, strings.Join(nodes, ",")), Err: err,
		Action: "check that --" + what + " names the gRPC addresses of running nodes, and that this machine reaches them"}
}

// define sees to it that a namespace has its changefeed.
func (s *Syncer) define(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	id := ChangefeedID(namespace, s.targetID)
	for range 3 { // another process may define it, or change it, at the same time
		there, err := s.admin.Get(ctx, id)
		if is(err, admin.NotFound) {
			err = s.create(ctx, namespace)
		} else if err == nil {
			err = s.adopt(ctx, &there.Spec)
		}
		if !is(err, admin.Exists) && !is(err, admin.Stale) && !is(err, admin.NotFound) {
			return err
		}
	}
	return fmt.Errorf("changefeed %s: it is changed again and again by somebody else", id)
}

// is says whether a call failed with a code.
func is(err error, code admin.Code) bool {
	var known *admin.Error
	return errors.As(err, &known) && known.Code == code
}

func (s *Syncer) create(ctx context.Context, namespace string) error {
	spec := changefeed.Spec{ID: ChangefeedID(namespace, s.targetID), Namespace: namespace, SinkURI: s.sinkURI(nil), Runner: changefeed.RunBySyncer, Digests: true}
	spec.SetDefaults()
	made, err := s.admin.Create(ctx, spec)
	if err != nil {
		return err
	}
	s.log.Info("a changefeed was defined", "changefeed", made.Spec.ID, "namespace", namespace, "partitions", made.Partitions, "sink", made.Spec.SinkURI)
	return nil
}

// sinkURI is the sink of a definition: what was said here, and beside that what stood there before, if it isn't nil.
func (s *Syncer) sinkURI(before *replay.Config) string {
	options := url.Values{}
	bandwidth, compression := s.o.Bandwidth, s.o.Compression
	if before != nil {
		if bandwidth == nil {
			bandwidth = &before.Bandwidth
		}
		if compression == nil {
			compression = new(compressionOf(before))
		}
		options.Set("range-bytes", strconv.Itoa(before.RangeBytes))
		options.Set("idle", before.Idle.String())
	}
	if bandwidth != nil && *bandwidth > 0 {
		options.Set("bandwidth", strconv.FormatInt(*bandwidth, 10))
	}
	if compression != nil {
		options.Set("compression", *compression)
	}
	uri := replay.Scheme + "://" + strings.Join(s.o.Target, ",")
	if len(options) > 0 {
		uri += "?" + options.Encode()
	}
	return uri
}

func compressionOf(c *replay.Config) string {
	if c.Zstd {
		return "zstd"
	}
	return "none"
}

// adopt takes a definition that is there: an *Error if it says something else than this process was told.
func (s *Syncer) adopt(ctx context.Context, spec *changefeed.Spec) error {
	differs, before := s.differences(spec)
	if len(differs) == 0 {
		s.log.Info("a changefeed is there already", "changefeed", spec.ID, "namespace", spec.Namespace, "sink", spec.SinkURI, "paused", spec.Paused)
		return nil
	}
	if !s.o.Redefine {
		return &Error{Kind: Differs, What: fmt.Sprintf("changefeed %s is there, and %s", spec.ID, strings.Join(differs, "; ")),
			Action: "start this process as the definition says, or add --redefine to have the definition changed"}
	}
	return s.redefine(ctx, spec, differs, before)
}

// differences are in words; what was read of the sink's URI is nil if it isn't one of a cluster.
func (s *Syncer) differences(spec *changefeed.Spec) (all []string, was *replay.Config) {
	if spec.Runner != changefeed.RunBySyncer {
		all = append(all, "data nodes run it, not zankv-cdc sync")
	}
	c, err := replay.ParseURI(spec.SinkURI)
	if err != nil {
		return append(all, fmt.Sprintf("its sink is %s, no cluster", changefeed.ShownURI(spec.SinkURI))), nil
	}
	if !slices.Equal(sorted(c.Nodes), sorted(s.o.Target)) {
		all = append(all, fmt.Sprintf("its target is %s, not %s", strings.Join(c.Nodes, ","), strings.Join(s.o.Target, ",")))
	}
	if target := cmp.Or(c.Namespace, spec.Namespace); target != spec.Namespace {
		all = append(all, fmt.Sprintf("it carries to namespace %s there", target))
	}
	if b := s.o.Bandwidth; b != nil && *b != c.Bandwidth {
		all = append(all, fmt.Sprintf("its bandwidth is %d bytes a second, not %d", c.Bandwidth, *b))
	}
	if z := s.o.Compression; z != nil && *z != compressionOf(c) {
		all = append(all, fmt.Sprintf("its compression is %s, not %s", compressionOf(c), *z))
	}
	return all, c
}

func sorted(nodes []string) []string { return slices.Sorted(slices.Values(nodes)) }

// redefine pauses a changefeed for as long as it is changed.
func (s *Syncer) redefine(ctx context.Context, spec *changefeed.Spec, differs []string, before *replay.Config) error {
	if _, err := s.admin.Pause(ctx, spec.ID); err != nil {
		return err
	}
	uri, runner := s.sinkURI(before), changefeed.RunBySyncer
	changed, err := s.admin.Update(ctx, spec.ID, admin.Change{SinkURI: &uri, Runner: &runner})
	if err != nil {
		return fmt.Errorf("changefeed %s is paused, and can't be changed: %w", spec.ID, err)
	}
	s.log.Warn("a changefeed was redefined", "changefeed", spec.ID, "because", strings.Join(differs, "; "), "sink", changed.Spec.SinkURI)
	if spec.Paused {
		return nil
	}
	_, err = s.admin.Resume(ctx, spec.ID)
	return err
}

// look defines what isn't yet, and forgets namespaces that are gone. What is known isn't looked at again: an operator may have removed it.
func (s *Syncer) look(ctx context.Context) error {
	all, err := s.namespaces(ctx)
	if err != nil {
		return err
	}
	known := s.known()
	maps.DeleteFunc(known, func(n string, _ bool) bool { return !slices.Contains(all, n) })
	var errs []error
	for _, n := range all {
		if known[n] {
			continue
		}
		if err := s.define(ctx, n); err != nil {
			errs = append(errs, err)
			continue
		}
		known[n] = true
	}
	s.setKnown(known)
	return errors.Join(errs...)
}
