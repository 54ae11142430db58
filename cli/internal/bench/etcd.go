package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zankv/zankv/cli/internal/bench/etcdload"
)

// EtcdMemberCommand is the command by which this program is one etcd member; see etcdload.Serve for its arguments.
const EtcdMemberCommand = "etcd-member"

// etcdCluster is an etcd of three members, each its own process.
type etcdCluster struct {
	o       *Options
	members []*process
	client  *etcdload.Load
}

const etcdMembers = 3

func (e *etcdCluster) Name() string { return "etcd, 3 members" }

// Check has nothing to miss: the members are this program.
func (e *etcdCluster) Check() error { return nil }

func (e *etcdCluster) Version(context.Context) (string, error) { return etcdload.Version, nil }

func (e *etcdCluster) Start(ctx context.Context) error {
	base, err := freePorts(2 * etcdMembers)
	if err != nil {
		return err
	}
	var cluster, endpoints []string
	for i := range etcdMembers {
		endpoints = append(endpoints, fmt.Sprintf("http://127.0.0.1:%d", base+2*i))
		cluster = append(cluster, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, base+2*i+1))
	}
	if err := e.startMembers(ctx, endpoints, strings.Join(cluster, ",")); err != nil {
		return err
	}
	// That is for finding a leader and for filling; a busy machine does a thousand puts a second.
	wait, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	e.client, err = etcdload.Open(wait, endpoints, min(e.o.Keys, 100_000), value)
	if err != nil {
		return fmt.Errorf("%w%s", err, e.words())
	}
	return nil
}

// startMembers starts all at once, as none is ready before two are there.
func (e *etcdCluster) startMembers(ctx context.Context, endpoints []string, cluster string) error {
	e.members = make([]*process, len(endpoints))
	errs := make([]error, len(endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range endpoints {
		wg.Go(func() {
			name := "m" + strconv.Itoa(i)
			e.members[i], errs[i] = startProcess(ctx, "etcd member "+name, etcdload.Ready, time.Minute, e.o.Self,
				EtcdMemberCommand, name, filepath.Join(e.o.Dir, "etcd-"+name), endpoint, cluster)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (e *etcdCluster) words() string {
	for _, p := range e.members {
		if err := p.alive(); err != nil {
			return "\n" + err.Error()
		}
	}
	return ""
}

func (e *etcdCluster) Stop() {
	if e.client != nil {
		e.client.Close()
	}
	for _, p := range e.members {
		p.stop()
	}
}

const etcdClients = 50

func (e *etcdCluster) measurements() []Measurement {
	one := func(name string, op etcdload.Op, beside load) Measurement {
		return Measurement{Name: name, Turn: turnOf(beside), Run: func(ctx context.Context) (Samples, error) {
			rps, err := e.client.Run(ctx, op, etcdClients, e.o.Each)
			if err != nil {
				return nil, fmt.Errorf("%w%s", err, e.words())
			}
			return Samples{name + ".rps": rps}, nil
		}}
	}
	return []Measurement{
		one("etcd.put.c50", etcdload.Put, load{"SET", etcdClients, 1}),
		one("etcd.get.c50", etcdload.Get, load{"GET", etcdClients, 1}),
	}
}
