package robustness

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// jobs is work that some clients push to lists and others wait for: each item is a number of its own, so that one that is lost or taken twice
// shows.
type jobs struct {
	sync.Mutex
	pushed, maybe map[int]bool // by the outcome of the push
	taken         map[int]int  // how often a client was given it
	moved         map[int]bool // what a client saw going to a list of what is done
	unknown       int          // how many items may have been given to clients that didn't get the answer
	lost          int          // how many nobody got, which check counts
	waits, served int
}

func newJobs() *jobs {
	return &jobs{pushed: map[int]bool{}, maybe: map[int]bool{}, taken: map[int]int{}, moved: map[int]bool{}}
}

const (
	jobTags = 3
	// jobWait is how long a client waits for an item. Some waits last as long as a leader's absence, some end by themselves.
	jobWait = 400 * time.Millisecond
	// jobsAtOnce is how many items one command takes at most.
	jobsAtOnce = 2
)

func jobKey(n int) string  { return fmt.Sprintf("jobs:{%d}:%d", n%jobTags, n/jobTags) }
func doneKey(n int) string { return fmt.Sprintf("jobs:{%d}:done", n%jobTags) }

// offer pushes an item, at either end, alone or with another command in a transaction.
func (j *jobs) offer(s *session, item int) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	key := s.client.prefix + jobKey(s.rng.IntN(2*jobTags))
	var err error
	switch s.rng.IntN(3) {
	case 0:
		err = s.client.redis.RPush(ctx, key, item).Err()
	case 1:
		err = s.client.redis.LPush(ctx, key, item).Err()
	default:
		_, err = s.client.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.RPush(ctx, key, item)
			p.LLen(ctx, key)
			return nil
		})
	}
	_, refused := classifyOrNil(err)
	j.Lock()
	if err == nil {
		j.pushed[item] = true
	} else if refused == nil {
		j.maybe[item] = true
	}
	j.Unlock()
	s.answered(err)
}

// classifyOrNil is classify for what may be no error.
func classifyOrNil(err error) (Output, error) {
	if err == nil {
		return Output{}, nil
	}
	return classify(err)
}

// answered counts a command that was answered, and goes to the next node after one that wasn't.
func (s *session) answered(err error) {
	if err != nil {
		s.moveOn(err)
		return
	}
	s.count()
}

// take waits for items of the two lists of a tag, by one of the commands that do.
func (j *jobs) take(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	n := s.rng.IntN(jobTags)
	a, b, done := s.client.prefix+jobKey(n), s.client.prefix+jobKey(n+jobTags), s.client.prefix+doneKey(n)
	var items []string
	var err error
	atRisk, moves := 1, false
	switch s.rng.IntN(4) {
	case 0:
		items, err = ofPair(s.client.redis.BLPop(ctx, jobWait, a, b).Result())
	case 1:
		items, err = ofPair(s.client.redis.BRPop(ctx, jobWait, b, a).Result())
	case 2:
		atRisk = jobsAtOnce
		_, items, err = s.client.redis.BLMPop(ctx, jobWait, "left", jobsAtOnce, a, b).Result()
	default:
		atRisk, moves = 0, true
		var item string
		item, err = s.client.redis.BLMove(ctx, a, done, "left", "right", jobWait).Result()
		items = []string{item}
	}
	j.note(items, err, atRisk, moves)
	if err != nil && err.Error() == redis.Nil.Error() {
		err = nil
	}
	s.answered(err)
}

// ofPair takes the item out of BLPOP's answer.
func ofPair(answer []string, err error) ([]string, error) {
	if err != nil || len(answer) != 2 {
		return nil, err
	}
	return answer[1:], nil
}

// note keeps account of a wait's end.
func (j *jobs) note(items []string, err error, atRisk int, moves bool) {
	j.Lock()
	defer j.Unlock()
	j.waits++
	if err != nil {
		if out, refused := classify(err); refused == nil && out.Unknown && err.Error() != redis.Nil.Error() {
			j.unknown += atRisk
		}
		return
	}
	j.served++
	for _, item := range items {
		n, err := strconv.Atoi(item)
		if err != nil {
			n = -1 // nobody pushed it
		}
		if moves {
			j.moved[n] = true
		} else {
			j.taken[n]++
		}
	}
}

// check holds what clients know against what is left in the lists: no item twice, none that nobody pushed, and none gone but those that
// were on their way to a client that lost its connection.
func (j *jobs) check(content map[string]Entry) error {
	done, left := map[int]int{}, map[int]int{}
	for key, entry := range content {
		if !strings.HasPrefix(key, "jobs:") {
			continue
		}
		in := left
		if strings.HasSuffix(key, ":done") {
			in = done
		}
		for _, item := range strings.Fields(entry.Value) {
			n, err := strconv.Atoi(strings.Trim(item, `"`))
			if err != nil {
				return fmt.Errorf("robustness: list %s: item %s", key, item)
			}
			in[n]++
		}
	}
	for _, where := range []map[int]int{j.taken, done, left} {
		for n := range where {
			if all := j.taken[n] + done[n] + left[n]; all != 1 {
				return fmt.Errorf("robustness: item %d was taken %d times by clients, is %d times among the done and %d times left", n, j.taken[n], done[n], left[n])
			}
			if !j.pushed[n] && !j.maybe[n] {
				return fmt.Errorf("robustness: item %d was refused or never pushed, and was taken or is there", n)
			}
		}
	}
	for n := range j.moved {
		if done[n] != 1 {
			return fmt.Errorf("robustness: item %d was moved to the done, and isn't there", n)
		}
	}
	for n := range j.pushed {
		if j.taken[n]+done[n]+left[n] == 0 {
			j.lost++
		}
	}
	if j.lost > j.unknown {
		return fmt.Errorf("robustness: %d items are lost, and %d at most were on their way to clients that lost their connection", j.lost, j.unknown)
	}
	return nil
}

func (j *jobs) String() string {
	return fmt.Sprintf("%d items pushed, %d perhaps, %d taken, %d moved in %d waits, of which %d were served; %d items went to nobody, %d may have", len(j.pushed), len(j.maybe), len(j.taken), len(j.moved), j.waits, j.served, j.lost, j.unknown)
}
