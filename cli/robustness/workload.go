package robustness

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Workload is concurrent clients that compete for few keys. When a key has had its share of commands a new one takes its
// place, so that each key's history stays short enough to be decided.
type Workload struct {
	// Connect makes a client of the node with a number (modulo their count), of the given kind: kinds differ in how keys
	// reach the partition.
	Connect func(node, kind int) *Client
	Seed    uint64
	Clients int

	began time.Time
	// acked counts answered commands. changed is signalled when it has grown.
	acked   atomic.Int64
	changed chan struct{}
	keys    [keySlots]keySlot

	mu struct {
		sync.Mutex
		history History
		// kept are writes of keys that only one client writes once: what must be there at the end, by key.
		kept map[string]string
		// maybe are those whose outcome is unknown.
		maybe map[string]string
		// expiring are keys that were written with an expiry.
		expiring int
		// troubles are the errors that clients met, and how often each came.
		troubles map[string]int
	}
}

const (
	keySlots = 6   // keys in use at a time
	keyShare = 250 // commands for each key
	// unknownShare is what an unknown outcome counts for: each one may have happened at any later time, so few of them
	// make a history hard to decide.
	unknownShare = 25
	keptEvery    = 8 // one command in so many writes a key of its own
)

// keySlot is one key in use: the count of commands that it has had in all its lives.
type keySlot struct{ used atomic.Int64 }

// NewWorkload has not begun.
func NewWorkload(seed uint64, clients int, connect func(node, kind int) *Client) *Workload {
	w := &Workload{Connect: connect, Seed: seed, Clients: clients, began: time.Now(), changed: make(chan struct{}, 1)}
	w.mu.kept, w.mu.maybe, w.mu.troubles = map[string]string{}, map[string]string{}, map[string]int{}
	return w
}

// Run runs the clients until ctx is done.
func (w *Workload) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range w.Clients {
		wg.Go(func() { w.client(ctx, i) })
	}
	wg.Wait()
}

// client is one client's life. A command is finished even when ctx ends meanwhile.
func (w *Workload) client(ctx context.Context, id int) {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(id)))
	rec := &Recorder{Client: id, began: w.began}
	s := &session{Workload: w, rng: rng, rec: rec, id: id, node: id}
	s.connect()
	for n := 0; ctx.Err() == nil; n++ {
		if rng.IntN(keptEvery) == 0 {
			s.keep(n)
			continue
		}
		s.compete(n)
	}
	s.client.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.history = append(w.mu.history, rec.history...)
}

// session is a client's connection as it goes from node to node.
type session struct {
	*Workload
	rng    *rand.Rand
	rec    *Recorder
	id     int
	node   int
	client *Client
}

func (s *session) connect() {
	if s.client != nil {
		s.client.Close()
	}
	s.client = s.Connect(s.node, s.id)
	s.node++
}

// compete runs one command on a key that others use too.
func (s *session) compete(n int) {
	slot := s.rng.IntN(keySlots)
	s.keys[slot].used.Add(1)
	in := Input{Op: drawOp(s.rng), Key: s.currentKey(slot)}
	if in.Op == Set || in.Op == SetNX {
		in.Value = strconv.Itoa(s.id*1_000_000 + n) // a number, so that INCR has something to do, and nobody else's
		if s.rng.IntN(4) == 0 {
			in.Value = "v" + in.Value
		}
	}
	_ = s.rec.Do(in, func(in Input) (Output, error) { // what wasn't run isn't in the history
		out, err := s.send(in)
		if out.Unknown {
			s.keys[slot].used.Add(unknownShare)
		}
		return out, err
	})
}

// currentKey is the key that a slot holds now.
func (w *Workload) currentKey(slot int) string {
	return fmt.Sprintf("r:%d:%d", slot, w.keys[slot].used.Load()/keyShare)
}

func drawOp(rng *rand.Rand) Op {
	return [...]Op{Get, Get, Get, Get, Set, Set, SetNX, Incr, Incr, Incr, Del}[rng.IntN(11)]
}

// keep writes a key that nobody else writes, sometimes with an expiry: one far off, or one that passes during the run.
func (s *session) keep(n int) {
	key, value := fmt.Sprintf("w:%d:%d", s.id, n), "kept"+strconv.Itoa(s.rng.IntN(1000))
	if s.rng.IntN(3) == 0 {
		s.expiring(key, value)
		return
	}
	out, err := s.send(Input{Op: Set, Key: key, Value: value})
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.Unknown {
		s.mu.maybe[key] = value
	} else {
		s.mu.kept[key] = value
	}
}

func (s *session) expiring(key, value string) {
	after := 30 * time.Minute
	if s.rng.IntN(2) == 0 {
		after = time.Duration(50+s.rng.IntN(1500)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	if err := s.client.redis.Set(ctx, s.client.prefix+"x"+key, value, after).Err(); err != nil {
		s.moveOn(err)
		return
	}
	s.count()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.expiring++
}

// send runs a command on the current node, and goes to the next one when it fails there.
func (s *session) send(in Input) (Output, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*answerLimit)
	defer cancel()
	out, err := s.client.Run(ctx, in)
	switch {
	case err != nil:
		s.moveOn(err)
	case out.Unknown:
		s.trouble("unknown outcome: " + out.Why)
		s.connect()
	default:
		s.count()
	}
	return out, err
}

// moveOn waits a moment, so that a cluster without leaders isn't hammered, and takes the next node.
func (s *session) moveOn(err error) {
	s.trouble(err.Error())
	timer := time.NewTimer(time.Duration(5+s.rng.IntN(20)) * time.Millisecond)
	<-timer.C
	s.connect()
}

func (w *Workload) count() {
	w.acked.Add(1)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Progress returns when so many more commands have been answered, or says how many were when ctx ended. It is for one
// goroutine.
func (w *Workload) Progress(ctx context.Context, commands int64) error {
	start := w.acked.Load()
	for w.acked.Load() < start+commands {
		select {
		case <-w.changed:
		case <-ctx.Done():
			return fmt.Errorf("robustness: %d of %d commands were answered; what clients met:\n%s: %w", w.acked.Load()-start, commands, w.Troubles(), ctx.Err())
		}
	}
	return nil
}

// addresses are what the texts of network errors differ by.
var addresses = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func (w *Workload) trouble(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, _, _ = strings.Cut(text, " : ERR handle command") // which differs by the key
	w.mu.troubles[addresses.ReplaceAllString(text, "node")]++
}

// Troubles are the errors that clients met, one a line, with how often each came.
func (w *Workload) Troubles() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for _, t := range slices.Sorted(maps.Keys(w.mu.troubles)) {
		text += fmt.Sprintf("%6d × %s\n", w.mu.troubles[t], t)
	}
	return text
}

// Keys are the keys that clients competed for.
func (w *Workload) Keys() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.mu.history.byKey()))
}

// ReadAll reads every key that clients competed for, by one more client, into the history: what they wrote last has to be
// there. It is for after Run.
func (w *Workload) ReadAll(ctx context.Context, c *Client) error {
	rec := &Recorder{Client: w.Clients, began: w.began}
	for _, key := range w.Keys() {
		err := rec.Do(Input{Op: Get, Key: key}, func(in Input) (Output, error) {
			out, err := c.Run(ctx, in)
			if err == nil && out.Unknown {
				err = fmt.Errorf("robustness: GET %s wasn't answered", key)
			}
			return out, err
		})
		if err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.history = append(w.mu.history, rec.history...)
	return nil
}

// CheckKept checks content for the writes that one client did once: what was acknowledged is there as it was written, and
// nothing is there that nobody wrote.
func (w *Workload) CheckKept(content map[string]Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, value := range w.mu.kept {
		if got, ok := content[key]; !ok || got.Value != value || got.ExpireAt != 0 {
			return fmt.Errorf("robustness: an acknowledged write is lost: SET %s %s: the store has %+v (there: %v)", key, value, got, ok)
		}
	}
	for key, got := range content {
		value, mayBe := w.mu.maybe[key]
		_, certain := w.mu.kept[key]
		if len(key) > 2 && key[:2] == "w:" && !certain && (!mayBe || value != got.Value) {
			return fmt.Errorf("robustness: the store has %s = %q, which was refused or never written", key, got.Value)
		}
	}
	return nil
}
