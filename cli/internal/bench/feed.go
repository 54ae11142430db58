package bench

import "context"

// feedSection measures the feed on two clusters: what tails cost writers on one with load, and how fast a log is read on one
// whose log holds nothing but events of one small mutation each, made by one client per partition, which waits for each answer.
func feedSection(o *Options, loaded *zankvLocal) Section {
	small := newZankvLocal(o, "zankvlog", 3, 3)
	small.tailed = true
	cost := &feedCost{o: o, z: loaded}
	return Section{
		Name: "feed", About: "change events: cost to writers, catch-up",
		Systems: []System{loaded, small},
		Prepare: func(ctx context.Context) error { return writeSmallEvents(ctx, o, small) },
		Measurements: []Measurement{
			{Name: "feed.cost", Turn: turnFeed, Run: cost.run},
			{Name: "feed.small", Turn: turnFeed, Run: func(ctx context.Context) (Samples, error) {
				return readSamples(ctx, o, small, "feed.small")
			}},
			{Name: "feed.print", Turn: turnFeed, Run: func(ctx context.Context) (Samples, error) {
				return printSamples(ctx, o, small)
			}},
			{Name: "feed.loaded", Turn: turnFeed, Run: func(ctx context.Context) (Samples, error) {
				return readSamples(ctx, o, loaded, "feed.loaded")
			}},
		},
		Rows: []Row{
			{What: "SET, 50 clients, with a reader per partition / without, /s", Of: "feed.cost.reader.rps", Over: "feed.cost.none.rps", AtLeast: 0.95},
			{What: "SET, 50 clients, with a zankv-cdc tail per partition / without, /s", Of: "feed.cost.tail.rps", Over: "feed.cost.none.rps", AtLeast: 0.95},
			{What: "catch-up by the client, one SET per event, events/s", Of: "feed.small.events", AtLeast: 300_000},
			{What: "catch-up by zankv-cdc tail, JSON, one SET per event, events/s", Of: "feed.print.events"},
			{What: "catch-up by the client, as 50 clients wrote it, mutations/s", Of: "feed.loaded.mutations"},
			{What: "catch-up by the client, as 50 clients wrote it, events/s", Of: "feed.loaded.events"},
		},
	}
}

// smallEventsTime is for how many times Options.Each small events are written: a log that is read in no time would measure connecting.
const smallEventsTime = 15

// writeSmallEvents keeps one client per partition busy for a time: only what waits in a partition's queue together gets into one event.
func writeSmallEvents(ctx context.Context, o *Options, z *zankvLocal) error {
	one := load{"SET", localPartitions, 1}
	n, err := z.direct.requests(ctx, one, smallEventsTime*o.Each)
	if err != nil {
		return err
	}
	rps, _, err := z.direct.run(ctx, one, n)
	if err != nil {
		return err
	}
	o.say("small events: %s, written at %s/s", number(float64(n)), number(rps))
	return nil
}

// costPairs is how often, in a round, all ways of watching are gone through, there and back.
const costPairs = 2

// feedCost measures writers with and without somebody who reads along.
type feedCost struct {
	o *Options
	z *zankvLocal
	// watchKafka makes the watchers of "kafka".
	watchKafka func(context.Context) ([]watcher, error)

	marks int
}

// run compares writers that nobody watches with those whose feed is read, or printed.
func (f *feedCost) run(ctx context.Context) (Samples, error) {
	costs, err := f.compare(ctx, []string{"none", "reader", "tail"})
	s := Samples{}
	for how, c := range costs {
		s["feed.cost."+how+".rps"] = c.rps()
	}
	return s, err
}

// writing is what writers did in some slices: requests, in how much time, with how much of the cluster's processor time.
type writing struct{ requests, seconds, cpu float64 }

func (w writing) rps() float64 { return w.requests / w.seconds }

// cpuMicros is the processor time of one request.
func (w writing) cpuMicros() float64 { return w.cpu / w.requests * 1e6 }

// compare gives what writers did for each way of watching. It lets short slices take turns, there and back again, so that a machine or a store
// that gets slower favours none.
func (f *feedCost) compare(ctx context.Context, watching []string) (map[string]writing, error) {
	var order []string
	for range costPairs {
		order = append(order, watching...)
		for i := range watching {
			order = append(order, watching[len(watching)-1-i])
		}
	}
	all := map[string]writing{}
	for _, how := range order {
		w, err := f.slice(ctx, how)
		if err != nil {
			return nil, err
		}
		before := all[how]
		all[how] = writing{requests: before.requests + w.requests, seconds: before.seconds + w.seconds, cpu: before.cpu + w.cpu}
	}
	return all, nil
}

// slice is one load, watched or not. That is the watchers' time, too: they are there when it begins, and one that hasn't seen all of it is an
// error.
func (f *feedCost) slice(ctx context.Context, how string) (w writing, err error) {
	l := load{"SET", 50, 1}
	n, err := f.z.direct.requests(ctx, l, f.o.Each/2)
	if err != nil {
		return w, err
	}
	watchers, err := f.watch(ctx, how)
	defer func() { stopAll(watchers) }()
	if err != nil {
		return w, err
	}
	if err := f.mark(ctx, watchers); err != nil {
		return w, err
	}
	before, err := processorSeconds(f.z.p.cmd.Process.Pid)
	if err != nil {
		return w, err
	}
	rps, _, err := f.z.direct.run(ctx, l, n)
	if err != nil {
		return w, err
	}
	if err := f.mark(ctx, watchers); err != nil {
		return w, err
	}
	after, err := processorSeconds(f.z.p.cmd.Process.Pid)
	if err != nil {
		return w, err
	}
	return writing{requests: float64(n), seconds: float64(n) / rps, cpu: after - before}, sawAll(watchers, n)
}
