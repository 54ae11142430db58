package verify

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
)

// checker takes the lines of a stream in order and makes the report. It is for one goroutine.
type checker struct {
	o          *Options
	report     *Report
	parser     event.Parser
	line       event.Line
	partitions map[id]*partition
	last       *partition // the one of the line before: mostly the next line's, too
	readable   bool       // line is what came last
	recent     recent
}

// id tells partitions apart.
type id struct {
	cluster, namespace string
	number             uint32
}

// partition is the state of one.
type partition struct {
	id     id
	expect Expect
	check  event.Validator
	found  Partition
	begun  bool // a line came
	// forgotten is up to where recent has nothing of it, or no longer.
	forgotten event.Position
}

// where says where a line lies. Its string is made when it is needed.
type where interface {
	describe() (text string, line, offset int64)
}

const strayKept = 100

func newChecker(source string, o *Options) *checker {
	return &checker{o: o, report: &Report{Source: source}, partitions: make(map[id]*partition)}
}

// add takes a line. The error says that the stream can't be checked any further.
func (c *checker) add(line []byte, at where) error {
	c.report.Lines++
	err := c.parser.Parse(line, &c.line)
	if c.readable = err == nil; !c.readable {
		return c.unreadable(line, err, at)
	}
	st := &c.line.Stamp
	p, err := c.partition(id{st.Cluster, st.Namespace, st.Partition})
	if err != nil {
		return err
	}
	p.add(c, at)
	return nil
}

func (c *checker) partition(k id) (*partition, error) {
	if c.last != nil && c.last.id == k {
		return c.last, nil
	}
	p := c.partitions[k]
	if p == nil {
		limit := c.o.MaxPartitions
		if limit == 0 {
			limit = DefaultMaxPartitions
		}
		if len(c.partitions) >= limit {
			return nil, fmt.Errorf("verify: %s has more than %d partitions: check some of them at a time, or allow more", c.report.Source, limit)
		}
		p = newPartition(k, c.o)
		c.partitions[k] = p
	}
	c.last = p
	return p, nil
}

func newPartition(k id, o *Options) *partition {
	p := &partition{id: k, expect: o.expect(k.number), found: Partition{Cluster: k.cluster, Namespace: k.namespace, Partition: k.number, Verdict: OK}}
	p.check.AllowReplays = o.AllowReplays
	return p
}

// unreadable is a line that isn't one. It counts against its partition, if it tells that much.
func (c *checker) unreadable(line []byte, err error, at where) error {
	problem := Problem{Promise: event.Reliable, What: "a line that can't be read: " + err.Error()}
	problem.locate(at)
	k, ok := guess(line)
	p := c.partitions[k]
	if !ok || p == nil {
		p = c.only()
	}
	if p == nil {
		problem.Position = position(line)
		c.stray(problem)
		return nil
	}
	problem.Position = p.near(line)
	p.found.Lines++
	p.fail(problem)
	return nil
}

// only is the stream's partition, if there is no more than one.
func (c *checker) only() *partition {
	if len(c.partitions) != 1 {
		return nil
	}
	for _, p := range c.partitions {
		return p
	}
	return nil
}

func (c *checker) stray(p Problem) {
	c.report.StrayLines++
	if len(c.report.Stray) < strayKept {
		c.report.Stray = append(c.report.Stray, p)
	}
}

// torn is a last line without its end.
func (c *checker) torn(line []byte, at where) {
	c.report.Lines++
	problem := Problem{What: fmt.Sprintf("the stream ends in the middle of a line, after %d bytes of it", len(line))}
	problem.locate(at)
	k, ok := guess(line)
	p := c.partitions[k]
	if !ok || p == nil {
		p = c.only()
	}
	if p == nil {
		p = newPartition(k, c.o)
		c.partitions[k] = p
	}
	problem.Position = p.near(line)
	p.found.Lines++
	if p.found.Verdict == OK {
		p.found.Verdict, p.found.Problem = Incomplete, &problem
	}
}

// near is the position that a broken line names, or the last one that came.
func (p *partition) near(line []byte) event.Position {
	if at := position(line); !at.IsZero() {
		return at
	}
	return p.found.Reached
}

// position is what a broken line names, zero if it doesn't.
func position(line []byte) event.Position {
	text, ok := field(line, `"position":"`, '"')
	at, err := event.ParsePosition(string(text))
	if !ok || err != nil {
		return event.Position{}
	}
	return at
}

// guess finds out which partition a broken line is of.
func guess(line []byte) (id, bool) {
	cluster, ok1 := field(line, `"cluster":"`, '"')
	namespace, ok2 := field(line, `"namespace":"`, '"')
	number, ok3 := field(line, `"partition":`, ',')
	n, err := strconv.ParseUint(string(number), 10, 32)
	return id{string(cluster), string(namespace), uint32(n)}, ok1 && ok2 && ok3 && err == nil
}

// field finds what stands between a name and an end.
func field(line []byte, name string, end byte) ([]byte, bool) {
	i := bytes.Index(line, []byte(name))
	if i < 0 {
		return nil, false
	}
	rest := line[i+len(name):]
	n := bytes.IndexByte(rest, end)
	if n < 0 || n > 256 {
		return nil, false
	}
	return rest[:n], true
}

// add takes the checker's line, which is of this partition.
func (p *partition) add(c *checker, at where) {
	l := &c.line
	p.found.Lines++
	if p.found.Problem != nil {
		p.found.Unchecked++
		return
	}
	p.begin(l)
	before, _ := p.check.Last()
	err := p.check.Line(l, c.parser.Names)
	if err == nil && c.o.AllowReplays {
		err = c.recent.check(p, l, c.parser.Names, before)
	}
	if err != nil {
		p.violated(err, l.Stamp.Position, at)
		return
	}
	p.count(l, before)
}

// begin notes what lies before the first line.
func (p *partition) begin(l *event.Line) {
	if p.begun {
		return
	}
	p.begun = true
	st := &l.Stamp
	p.found.After, p.forgotten = st.Prev, st.Prev
	place := p.expect.After
	if place != nil && place.Position.Compare(p.forgotten) > 0 {
		p.forgotten = place.Position
	}
	if place == nil && st.Prev.IsZero() && l.Kind <= event.LineHeartbeat {
		place = &Place{ChainKnown: true}
	}
	p.found.Proved = l.Kind == event.LineHeartbeat || l.Kind == event.LineSnapshotBegin // these name the chain
	switch {
	case place != nil && place.ChainKnown:
		p.check.From(place.Position, place.Chain)
		p.found.Proved = true
	case place != nil && st.Prev != place.Position:
		// Without a chain the validator can't be told where to begin: let it find the gap.
		p.check.From(place.Position, event.Chain{})
	}
}

// count takes note of a line that was right.
func (p *partition) count(l *event.Line, before event.Position) {
	f := &p.found
	st := &l.Stamp
	again := st.Position.Compare(before) <= 0 && !before.IsZero()
	switch l.Kind {
	case event.LineHeartbeat:
		f.Heartbeats++
		if st.Position.Compare(f.Reached) > 0 {
			f.Reached = st.Position
		}
	case event.LineSnapshotRow:
		f.Rows++
	case event.LineChange:
		if !again {
			f.Mutations++
		}
		p.event(st, l.Seq+1 == l.Of, again)
	case event.LineFiltered:
		if !again {
			f.Filtered += int64(len(l.Digests))
		}
		p.event(st, int(l.Seq)+len(l.Digests) == int(l.Of), again)
	}
	f.Last, f.Chain = p.check.Last()
	f.Snapshots = int64(p.check.Snapshots())
	if f.Last.Compare(f.Reached) > 0 {
		f.Reached = f.Last
	}
}

func (p *partition) event(st *event.Stamp, whole, again bool) {
	if !whole {
		return
	}
	if again {
		p.found.Replays++
		return
	}
	p.found.Events++
	if p.found.Events == 1 {
		p.found.First, p.found.After = st.Position, st.Prev
	}
}

// violated notes what a validator refused.
func (p *partition) violated(err error, near event.Position, at where) {
	problem := Problem{Promise: event.Reliable, Position: near, What: err.Error()}
	if v, ok := errors.AsType[*event.Violation](err); ok {
		problem.Promise, problem.Position, problem.What = v.Promise, v.Position, v.What
	}
	problem.locate(at)
	p.fail(problem)
}

// fail notes the first problem; what comes after it isn't checked.
func (p *partition) fail(problem Problem) {
	if p.found.Problem == nil {
		p.found.Verdict, p.found.Problem = Violated, &problem
	}
}

func (p *Problem) locate(at where) {
	if at != nil {
		p.Where, p.Line, p.Offset = at.describe()
	}
}

// end says that no more comes.
func (c *checker) end() {
	for _, p := range c.partitions {
		p.end()
		c.report.Partitions = append(c.report.Partitions, p.found)
	}
	c.absent()
}

func (p *partition) end() {
	if p.found.Problem != nil {
		return
	}
	if v, ok := errors.AsType[*event.Violation](p.check.End()); ok {
		p.found.Verdict = Incomplete
		p.found.Problem = &Problem{Position: v.Position, What: v.What}
		return
	}
	if until := p.expect.Until; p.found.Reached.Compare(until) < 0 {
		p.found.Verdict = Incomplete
		p.found.Problem = &Problem{Position: p.found.Reached, What: fmt.Sprintf("the stream ends here, before %s", until)}
	}
}

// absent reports partitions that were expected to reach something and aren't there.
func (c *checker) absent() {
	came := make(map[uint32]bool)
	for k := range c.partitions {
		came[k.number] = true
	}
	for number, e := range c.o.Expect {
		if !came[number] && !e.Until.IsZero() {
			c.report.Partitions = append(c.report.Partitions, Partition{Partition: number, Namespace: c.o.Namespace, Cluster: c.o.Cluster, Verdict: Incomplete,
				Problem: &Problem{What: fmt.Sprintf("nothing came of partition %d, which should reach %s", number, e.Until)}})
		}
	}
	if len(c.partitions) == 0 && !c.o.Default.Until.IsZero() {
		c.report.Partitions = append(c.report.Partitions, Partition{Namespace: c.o.Namespace, Cluster: c.o.Cluster, Verdict: Incomplete,
			Problem: &Problem{What: fmt.Sprintf("nothing came, and it should reach %s", c.o.Default.Until)}})
	}
}
