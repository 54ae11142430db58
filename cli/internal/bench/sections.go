package bench

import (
	"context"
	"slices"
	"strconv"
)

// Turns of a round, before and after those of the loads: see turnOf.
const (
	turnDisk  = -1
	turnLog   = 100
	turnFeed  = 101
	turnKafka = 102
	turnSync  = 103
)

// diskName is the section that is always run: figures of writes mean nothing without the disk's.
const diskName = "disk"

// allSections are the parts of the benchmark, in the order of the table. The benchmark of another package is added here,
// as a Section whose Measurement calls it and turns what it returns into Samples.
func allSections(o *Options) []Section {
	redis := newRedisServer(o)
	three, one := newZankvLocal(o, "zankv3", 3, 3), newZankvLocal(o, "zankv1", 1, 1)
	etcd := &etcdCluster{o: o}
	return slices.Concat([]Section{
		diskSection(o),
		idleSection(three), // before the others fill the cluster
		{
			Name: "redis", About: "redis-server, every write synced: what is compared with", Prepare: redis.route.fill,
			Systems: []System{redis}, Measurements: redis.route.measurements(), Rows: plainRows("redis"),
		},
		{
			Name: "zankv3", About: "3 nodes, 3 replicas, straight to the leader", Needs: []string{"redis"}, Prepare: three.direct.fill,
			Systems: []System{three}, Measurements: three.direct.measurements(),
			Rows: ratioRows("zankv3", map[string]Row{
				"set.c50.p1": {AtLeast: 0.45}, "set.c50.p16": {AtLeast: 0.2, Stretch: 0.3}, "set.c1.p1": {AtMost: 3},
				"get.c50.p1": {AtLeast: 0.85}, "get.c50.p16": {AtLeast: 0.35},
			}),
		},
		{
			Name: "forward", About: "3 nodes, 3 replicas, all through one node", Needs: []string{"redis"}, Prepare: three.forward.fill,
			Systems: []System{three}, Measurements: three.forward.measurements(), Rows: ratioRows("zankv3fwd", nil),
		},
		{
			Name: "zankv1", About: "1 node, 1 replica, straight to the leader", Needs: []string{"redis"}, Prepare: one.direct.fill,
			Systems: []System{one}, Measurements: one.direct.measurements(),
			Rows: ratioRows("zankv1", map[string]Row{
				"set.c50.p1": {AtLeast: 0.8}, "set.c50.p16": {AtLeast: 0.45}, "set.c1.p1": {AtMost: 1.7},
				"get.c50.p1": {AtLeast: 0.85}, "get.c50.p16": {AtLeast: 0.35},
			}),
		},
		etcdSection(etcd),
		{
			Name: "etcd-ratio", About: "zankv with 3 replicas against etcd with 3 members", Needs: []string{"zankv3", "etcd"},
			Rows: []Row{
				{What: "SET / put, 50 clients", Of: "zankv3.set.c50.p1.rps", Over: "etcd.put.c50.rps", AtLeast: 3},
				{What: "GET / linearizable get, 50 clients", Of: "zankv3.get.c50.p1.rps", Over: "etcd.get.c50.rps"},
			},
		},
		logSection(o),
		feedSection(o, three),
	}, typesSections(redis, three, one), bigSections(three, one), kafkaSections(o), []Section{syncSection(o)})
}

func diskSection(o *Options) Section {
	return Section{
		Name: diskName, About: "what a sync costs", Measurements: []Measurement{diskMeasurement(o)},
		Rows: []Row{
			{What: "append 4 KiB + fdatasync, µs", Of: "disk.append.us"},
			{What: "overwrite 4 KiB + fdatasync, µs", Of: "disk.overwrite.us"},
		},
	}
}

func etcdSection(e *etcdCluster) Section {
	return Section{
		Name: "etcd", About: "etcd, 3 members, 50 clients at the leader", Systems: []System{e}, Measurements: e.measurements(),
		Rows: []Row{
			{What: "put, 50 clients, /s", Of: "etcd.put.c50.rps"},
			{What: "linearizable get, 50 clients, /s", Of: "etcd.get.c50.rps"},
		},
	}
}

func idleSection(z *zankvLocal) Section {
	return Section{
		Name: "idle", About: "memory of a fresh cluster of 3 nodes", Systems: []System{z}, Prepare: z.measureIdle,
		Measurements: []Measurement{{Name: "idle", Run: func(context.Context) (Samples, error) {
			return Samples{"idle.rss.mib": z.idle}, nil
		}}},
		Rows: []Row{{What: "resident, idle, MiB", Of: "idle.rss.mib", AtMost: 400}},
	}
}

// plainRows are the loads' rows without a comparison.
func plainRows(system string) (rows []Row) {
	for _, l := range loads {
		rows = append(rows, Row{What: what(l) + ", /s", Of: system + "." + l.String() + ".rps"})
	}
	return append(rows, Row{What: "SET, 1 client, median µs / fdatasyncs", Of: system + ".set.c1.p1.p50us", Over: system + ".set.c1.p1.sync.us"})
}

// ratioRows are the loads' rows against redis-server. targets are given by load; that of set.c1.p1 is for its latency in
// fdatasyncs, of which a write of one client has to wait for some.
func ratioRows(system string, targets map[string]Row) (rows []Row) {
	for _, l := range loads {
		row := targets[l.String()]
		row.What, row.Of, row.Over = what(l)+", /s", system+"."+l.String()+".rps", "redis."+l.String()+".rps"
		if l == oneWriter {
			latency := row
			latency.What, latency.Of, latency.Over = "SET, 1 client, median µs / fdatasyncs", system+".set.c1.p1.p50us", system+".set.c1.p1.sync.us"
			rows = append(rows, latency)
			row.AtLeast, row.AtMost = 0, 0
		}
		rows = append(rows, row)
	}
	return rows
}

func what(l load) string {
	clients := " clients"
	if l.clients == 1 {
		clients = " client"
	}
	return l.command + ", " + strconv.Itoa(l.clients) + clients + ", pipeline " + strconv.Itoa(l.pipeline)
}

// Sections names all sections.
func Sections() []string { return sectionNames(allSections(&Options{})) }
