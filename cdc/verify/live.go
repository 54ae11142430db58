package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// defaultGiveUp is how long a live partition may have no replica that serves.
const defaultGiveUp = 30 * time.Second

// live checks partitions of a running cluster, one after the other.
func (r *run) live(source string) error {
	nodes, namespace, partition, err := parseLive(source)
	if err != nil {
		return err
	}
	partitions := []uint32{partition}
	if namespace, all := strings.CutSuffix(namespace, allPartitions); all {
		if partitions, err = r.partitionsOf(nodes, namespace); err != nil {
			return err
		}
	}
	for _, n := range partitions {
		if err := r.feed(nodes, strings.TrimSuffix(namespace, allPartitions), n); err != nil {
			return err
		}
	}
	return nil
}

// allPartitions marks a namespace whose partitions are all meant. No namespace's name has it.
const allPartitions = "/*"

func parseLive(source string) (nodes []string, namespace string, partition uint32, err error) {
	hosts, path, _ := strings.Cut(strings.TrimPrefix(source, "zankv://"), "/")
	namespace, number, one := strings.Cut(strings.TrimSuffix(path, "/"), "/")
	for node := range strings.SplitSeq(hosts, ",") {
		if u, err := url.Parse("//" + node); err != nil || u.Hostname() == "" || u.Port() == "" {
			return nil, "", 0, fmt.Errorf("verify: %q: node %q: want host:port of its gRPC port: %w", source, node, ErrSource)
		}
		nodes = append(nodes, node)
	}
	if namespace == "" {
		return nil, "", 0, fmt.Errorf("verify: %q names no namespace: %w", source, ErrSource)
	}
	if !one {
		return nodes, namespace + allPartitions, 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, "", 0, fmt.Errorf("verify: %q: partition %q: want a number from 0: %w", source, number, ErrSource)
	}
	return nodes, namespace, uint32(n), nil
}

// partitionsOf asks the nodes, one after the other, which partitions a namespace has.
func (r *run) partitionsOf(nodes []string, namespace string) (partitions []uint32, err error) {
	var failures []error
	for _, node := range nodes {
		resp, err := r.ask(node, namespace)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", node, err))
			continue
		}
		for _, p := range resp.Partitions {
			partitions = append(partitions, p.Number)
		}
		if len(partitions) > 0 {
			return partitions, nil
		}
		failures = append(failures, fmt.Errorf("%s: no partitions", node))
	}
	return nil, fmt.Errorf("verify: which partitions %s has can't be learned: %w", namespace, errors.Join(failures...))
}

func (r *run) ask(node, namespace string) (*feedpb.PartitionsResponse, error) {
	options := r.o.Dial
	if len(options) == 0 {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	conn, err := grpc.NewClient(node, options...)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	return feedpb.NewFeedClient(conn).Partitions(ctx, &feedpb.PartitionsRequest{Namespace: namespace})
}

// inFeed is where an event of a live partition lies.
type inFeed struct{ name string }

func (f inFeed) describe() (string, int64, int64) { return f.name, 0, 0 }

// feed reads one partition from where it is expected to begin, or the oldest retained event, to the end of the log.
func (r *run) feed(nodes []string, namespace string, number uint32) error {
	from := feed.Earliest()
	expect := r.o.expect(number)
	if place := expect.After; place != nil && place.ChainKnown {
		from = feed.After(place.Position, place.Chain)
	} else if place != nil {
		from = feed.AfterPosition(place.Position)
	}
	giveUp := r.o.GiveUp
	if giveUp == 0 {
		giveUp = defaultGiveUp
	}
	reader, err := feed.Open(r.ctx, feed.Config{Nodes: nodes, Namespace: namespace, Partition: number, From: from, GiveUp: giveUp, Dial: r.o.Dial, Logger: r.o.Logger})
	if err != nil {
		return err
	}
	defer reader.Close()
	at := inFeed{name: fmt.Sprintf("the feed of %s-%d", namespace, number)}
	for {
		item, err := reader.Next()
		if err == io.EOF {
			return r.idle(reader, namespace, number)
		}
		if err != nil {
			return fmt.Errorf("verify: %s: %w", at.name, err)
		}
		if err := r.item(item, at); err != nil {
			return err
		}
	}
}

// idle has a partition without events in the report, too.
func (r *run) idle(reader *feed.Reader, namespace string, number uint32) error {
	if r.last != nil && r.last.id.number == number && r.last.id.namespace == namespace {
		return nil
	}
	p, err := r.partition(id{r.o.Cluster, namespace, number})
	if err == nil {
		p.found.Last, p.found.Chain = reader.Position()
		p.found.Reached = p.found.Last
	}
	return err
}

// item takes an event or a bookmark.
func (r *run) item(item *feed.Item, at where) error {
	st := item.Stamp
	p, err := r.partition(id{st.Cluster, st.Namespace, st.Partition})
	if err != nil {
		return err
	}
	r.report.Lines++
	p.found.Lines++
	if p.found.Problem != nil {
		p.found.Unchecked++
		return r.tick(0)
	}
	if item.Event == nil {
		p.bookmark(item.Bookmark, at)
	} else {
		p.live(item, at)
	}
	return r.tick(0)
}

func (p *partition) bookmark(position event.Position, at where) {
	if err := p.check.Bookmark(position); err != nil {
		p.violated(err, position, at)
		return
	}
	p.found.Heartbeats++
	if position.Compare(p.found.Reached) > 0 {
		p.found.Reached = position
	}
}

// live takes an event with the chain before it, so that the first one is proved as well.
func (p *partition) live(item *feed.Item, at where) {
	st := item.Stamp
	if !p.begun {
		p.begun = true
		p.found.Proved = true
	}
	replay, err := p.check.Event(st, item.Event, item.Names)
	if err != nil {
		p.violated(err, st.Position, at)
		return
	}
	if !replay {
		p.found.Mutations += int64(len(item.Event.Mutations))
	}
	p.event(st, true, replay)
	p.found.Last, p.found.Chain = p.check.Last()
	if p.found.Last.Compare(p.found.Reached) > 0 {
		p.found.Reached = p.found.Last
	}
}
