package command_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

// listWorld runs commands on lists, knows by slices what has to be in them, and folds the events as a reader of the feed does, who
// sees ops, items and indexes but no places.
type listWorld struct {
	t     *testing.T
	draw  *rand.Rand
	e     *commandtest.Executor
	model map[string][]string
	feed  map[string][]string
	// dense counts how often a list was found dense and not.
	dense [2]int
}

func newListWorld(t *testing.T, seed uint64) *listWorld {
	w := &listWorld{t: t, draw: rand.New(rand.NewPCG(seed, 5)), model: map[string][]string{}, feed: map[string][]string{}}
	w.e = newExecutor(t)
	return w
}

// TestListModel: after each of thousands of random steps the reply and the list are what a slice says, and so is what the events fold to.
func TestListModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newListWorld(t, seed)
	for range 12000 {
		w.step()
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("dense %d times, not %d times", w.dense[0], w.dense[1])
	if w.dense[0] < 1000 || w.dense[1] < 1000 {
		t.Errorf("dense %d times, not %d times: too one-sided to show much", w.dense[0], w.dense[1])
	}
}

// step runs one command and compares.
func (w *listWorld) step() {
	key := []string{"a", "b"}[w.draw.IntN(2)]
	line, want := w.command(key)
	w.do(line, want)
	w.compare(key)
}

func (w *listWorld) do(line, want string) {
	w.t.Helper()
	w.e.Store.Emitted = nil
	if got := string(w.e.Do(words(line)...)); got != want {
		w.t.Errorf("%s: %q, want %q; lists %q", line, got, want, w.model)
	}
	for i := range w.e.Store.Emitted {
		w.fold(&w.e.Store.Emitted[i])
	}
}

// compare looks at one list in every way.
func (w *listWorld) compare(key string) {
	w.t.Helper()
	list := w.model[key]
	if got := string(w.e.Do(words("lrange " + key + " 0 -1")...)); got != bulks(list) {
		w.t.Errorf("list is %q, want %q", got, list)
	}
	if !slices.Equal(w.feed[key], list) {
		w.t.Errorf("events fold to %q, want %q", w.feed[key], list)
	}
	for i := range w.model {
		if row, ok := w.e.Store.Rows()[i]; ok {
			w.checkEnds(i, &row)
		}
	}
}

// checkEnds: all numbers lie between the ends, and a list is taken for dense exactly if it is.
func (w *listWorld) checkEnds(key string, row *event.Meta) {
	first, last := int64(binary.LittleEndian.Uint64(row.Value)), int64(binary.LittleEndian.Uint64(row.Value[8:]))
	fractions := 0
	for sub := range w.e.Store.Collection(key) {
		n := int64(binary.BigEndian.Uint64([]byte(sub)) ^ 1<<63)
		if n < first || n > last {
			w.t.Errorf("list %q: an item has the number %d, the ends are %d and %d", key, n, first, last)
		}
		if len(sub) > 8 {
			fractions++
		}
		if len(sub) > 64 {
			w.t.Errorf("list %q: a place of %d bytes", key, len(sub))
		}
	}
	if fractions > 0 && row.Value[16] == 0 {
		w.t.Errorf("list %q has fractions and doesn't say so", key)
	}
	if row.Value[16] == 0 && last-first+1 == int64(row.Count) {
		w.dense[0]++
	} else {
		w.dense[1]++
	}
}

// command draws a command line, changes the model and says what the reply is.
func (w *listWorld) command(key string) (line, want string) {
	list := w.model[key]
	n := len(list)
	i := w.draw.IntN(2*n+3) - n - 1
	v := strconv.Itoa(w.draw.IntN(5))
	at := i
	if at < 0 {
		at += n
	}
	there := at >= 0 && at < n
	switch w.draw.IntN(18) {
	case 0, 1:
		w.model[key] = append([]string{"9", v}, list...)
		return fmt.Sprintf("lpush %s %s 9", key, v), integer(n + 2)
	case 2, 3:
		w.model[key] = append(slices.Clip(list), v, "8")
		return fmt.Sprintf("rpush %s %s 8", key, v), integer(n + 2)
	case 4:
		if n == 0 {
			return "lpop " + key, "$-1\r\n"
		}
		w.model[key] = list[1:]
		return "lpop " + key, bulk(list[0])
	case 5:
		if n == 0 {
			return "rpop " + key, "$-1\r\n"
		}
		w.model[key] = list[:n-1]
		return "rpop " + key, bulk(list[n-1])
	case 6:
		return w.popMany(key, list)
	case 7:
		if !there {
			return fmt.Sprintf("lindex %s %d", key, i), "$-1\r\n"
		}
		return fmt.Sprintf("lindex %s %d", key, i), bulk(list[at])
	case 8:
		line := fmt.Sprintf("lset %s %d %s", key, i, v)
		switch {
		case n == 0:
			return line, "-ERR no such key\r\n"
		case !there:
			return line, "-ERR index out of range\r\n"
		}
		w.model[key] = slices.Clone(list)
		w.model[key][at] = v
		return line, "+OK\r\n"
	case 9, 10, 11, 12:
		return w.insert(key, list, v)
	case 13, 14:
		return w.remove(key, list, v)
	case 15:
		end := i + w.draw.IntN(n+3)
		first, last := max(at, 0), end
		if last < 0 {
			last += n
		}
		last = min(last, n-1)
		if first > last {
			first, last = 0, -1
		}
		if w.draw.IntN(3) > 0 {
			return fmt.Sprintf("lrange %s %d %d", key, i, end), bulks(list[first : last+1])
		}
		w.model[key] = list[first : last+1]
		return fmt.Sprintf("ltrim %s %d %d", key, i, end), "+OK\r\n"
	case 16:
		return w.move(key)
	}
	return w.pos(key, list, v)
}

func (w *listWorld) popMany(key string, list []string) (line, want string) {
	n := w.draw.IntN(5)
	taken := min(n, len(list))
	left := w.draw.IntN(2) == 0
	line = fmt.Sprintf("rpop %s %d", key, n)
	if left {
		line = "l" + line[1:]
	}
	if len(list) == 0 {
		return line, "*-1\r\n"
	}
	items := slices.Clone(list[len(list)-taken:])
	slices.Reverse(items)
	w.model[key] = list[:len(list)-taken]
	if left {
		items = list[:taken]
		w.model[key] = list[taken:]
	}
	return line, bulks(items)
}

func (w *listWorld) insert(key string, list []string, v string) (line, want string) {
	behind, word := w.draw.IntN(2), "before"
	if behind == 1 {
		word = "after"
	}
	pivot := strconv.Itoa(w.draw.IntN(7))
	line = fmt.Sprintf("linsert %s %s %s %s", key, word, pivot, v)
	at := slices.Index(list, pivot)
	switch {
	case len(list) == 0:
		return line, integer(0)
	case at < 0:
		return line, integer(-1)
	}
	w.model[key] = slices.Insert(slices.Clone(list), at+behind, v)
	return line, integer(len(list) + 1)
}

func (w *listWorld) remove(key string, list []string, v string) (line, want string) {
	count := w.draw.IntN(7) - 3
	kept := slices.Clone(list)
	if count < 0 {
		slices.Reverse(kept)
	}
	gone := 0
	kept = slices.DeleteFunc(kept, func(item string) bool {
		if item != v || count != 0 && gone == max(count, -count) {
			return false
		}
		gone++
		return true
	})
	if count < 0 {
		slices.Reverse(kept)
	}
	w.model[key] = kept
	return fmt.Sprintf("lrem %s %d %s", key, count, v), integer(gone)
}

func (w *listWorld) move(from string) (line, want string) {
	to := []string{"a", "b"}[w.draw.IntN(2)]
	sides := []string{"left", "right"}
	out, in := w.draw.IntN(2), w.draw.IntN(2)
	line = fmt.Sprintf("lmove %s %s %s %s", from, to, sides[out], sides[in])
	list := w.model[from]
	if len(list) == 0 {
		return line, "$-1\r\n"
	}
	item := list[0]
	w.model[from] = list[1:]
	if out == 1 {
		item = list[len(list)-1]
		w.model[from] = list[:len(list)-1]
	}
	if in == 0 {
		w.model[to] = append([]string{item}, w.model[to]...)
	} else {
		w.model[to] = append(slices.Clip(w.model[to]), item)
	}
	return line, bulk(item)
}

func (w *listWorld) pos(key string, list []string, v string) (line, want string) {
	rank := []int{1, 2, -1, -2}[w.draw.IntN(4)]
	var at []string
	for i := range list {
		if list[i] == v {
			at = append(at, ":"+strconv.Itoa(i)+"\r\n")
		}
	}
	if rank < 0 {
		slices.Reverse(at)
	}
	at = at[min(max(rank, -rank)-1, len(at)):]
	return fmt.Sprintf("lpos %s %s rank %d count 0", key, v, rank), fmt.Sprintf("*%d\r\n%s", len(at), strings.Join(at, ""))
}

// fold does with the feed's view of a list what a mutation says.
func (w *listWorld) fold(m *event.Mutation) {
	key := string(m.Key)
	list := slices.Clone(w.feed[key])
	if m.Whole {
		list = nil
	}
	if m.Op == event.OpDel {
		list = nil
	}
	if m.Op == event.OpLRem {
		slices.Reverse(m.Elements) // so that the indexes of the others stay
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		switch m.Op {
		case event.OpLPush:
			list = append([]string{string(e.Value)}, list...)
		case event.OpRPush:
			list = append(list, string(e.Value))
		case event.OpLPop:
			list = list[1:]
		case event.OpRPop:
			list = list[:len(list)-1]
		case event.OpLSet:
			list[e.Index] = string(e.Value)
		case event.OpLInsert:
			list = slices.Insert(list, int(e.Index), string(e.Value))
		case event.OpLRem:
			list = slices.Delete(list, int(e.Index), int(e.Index)+1)
		}
	}
	if w.feed[key] = list; len(list) != int(m.Count) {
		w.t.Errorf("op %s: count %d, events fold to %d items", m.Op, m.Count, len(list))
	}
}

func integer(n int) string { return fmt.Sprintf(":%d\r\n", n) }
func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
func bulks(list []string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(list))
	for _, s := range list {
		b.WriteString(bulk(s))
	}
	return b.String()
}
