package command_test

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// What random stories come by too rarely is told step by step: which site does what, separated by semicolons.
//
//	a: hset h f 1   a runs a command
//	a<              a takes in everything of the other; a< 2: two entries
//	a^              a raises its watermark and removes what may be removed
//	+90             so many seconds pass
//	a? hgetall h = f 1
func TestSitesAndEnds(t *testing.T) {
	for name, story := range map[string]string{
		// a has removed the key and forgotten it, b hasn't removed it yet: what a makes anew is all that there is.
		"hash made anew":                        "a: hset h:1 f 1; a: expire h:1 60; b<; +7200; a<; b<; a<; a^; a? exists h:1 = 0; a: hset h:1 g 2; b<; b? hgetall h:1 = g 2; +60; b<; a<; b^; b? hgetall h:1 = g 2",
		"the same field":                        "a: hset h:1 f 1 e 1; a: expire h:1 60; b<; +7200; a<; b<; a<; a^; a: hset h:1 f 2; b<; b? hgetall h:1 = f 2",
		"list made anew":                        "a: rpush l:1 x; a: expire l:1 60; b<; +7200; a<; b<; a<; a^; a: rpush l:1 y; a: rpush l:1 z; b<; b? lrange l:1 0 9 = y z; b: lpop l:1; a<; a? lrange l:1 0 9 = z",
		"bitmap made anew":                      "a: setbit b:1 9000 1; a: expire b:1 60; b<; +7200; a<; b<; a<; a^; a: setbit b:1 8000 1; b<; b? bitcount b:1 = 1",
		"a list written into when it is over":   "a: rpush l:1 x; a: expire l:1 60; b<; +90; a: lpush l:1 y z; b<; b? lrange l:1 0 9 = z y; +7200; b<; a<; b^; a^; b? lrange l:1 0 9 = z y",
		"a bitmap written into when it is over": "a: setbit b:1 9000 1; a: expire b:1 60; b<; +90; a: setbit b:1 8000 1; b<; b? bitcount b:1 = 1",
		"flushed when it is over":               "a: hset h:1 f 1; a: expire h:1 60; b<; b: expire h:1 900; +90; a: flushdb; b<; a<; a? exists h:1 = 0; b? exists h:1 = 0",
		"set made anew":                         "a: sadd s:1 f; a: expire s:1 60; b<; +7200; a<; b<; a<; a^; a: sadd s:1 g; b<; b? smembers s:1 = g",
		"number made anew":                      "a: incr n:1; a: expire n:1 60; b<; +7200; a<; b<; a<; a^; a: incr n:1; b<; b? get n:1 = 1; b? ttl n:1 = -1",
		"string to hash":                        "a: setex h:1 60 x; b<; +7200; a<; b<; a<; a^; a: hset h:1 g 2; b<; b? hgetall h:1 = g 2",
		// b has removed its last element and remembers its expiry, which a has forgotten.
		"made anew over a tombstone": "a: hset h:1 f 1; a: expire h:1 60; b<; b: hdel h:1 f; +7200; a<; b<; a<; a^; a: hset h:1 g 2; b<; b? hgetall h:1 = g 2; b? ttl h:1 = -1",
		// A session that is prolonged again and again, while the sites don't hear of each other.
		"a session goes on": "b: hset h:1 f 1; b: expire h:1 60; a<; b<; a<; +50; b: expire h:1 60; +50; b: expire h:1 60; a^; a? exists h:1 = 0; +50; b: expire h:1 60; " +
			"a^; a<; a? hgetall h:1 = f 1; a? ttl h:1 = 60",
		"a session goes on, and is written into where it was thought over": "b: hset h:1 f 1; b: expire h:1 60; a<; +50; b: expire h:1 60; +50; b: expire h:1 60; " +
			"a: hset h:1 g 2; +50; a<; b<; b? hgetall h:1 = g 2",
		// a writes into what it takes for alive, and b has forgotten that the last field went, but not that the key was to expire.
		"an expiry outlives the last field": "a: hset h:1 f 1; a: expire h:1 600; b<; +60; b: hdel h:1 f; +30; b<; +30; a: hset h:1 g 2; a<; b^; b<; a? ttl h:1 = 480; b? ttl h:1 = 480",
		// A field that came to a key after its end, from a site that didn't know of the expiry: it goes when everybody knows it, not before.
		"a late member, and a string before it": "a: setex z:1 60 x; +3900; a: set z:2 1; a<; +100; a: append z:1 y; +1000; b: zadd z:1 1 m; b< 2; b^; b? exists z:1 = 0; b<; a<; " +
			"a? zcard z:1 = 1; b? zcard z:1 = 1",
		"a late field": "a: hset h:1 f 1; b<; a: expire h:1 60; +4000; b: hset h:1 g 2; a<; a^; a? exists h:1 = 0; b<; b? exists h:1 = 0; a: append h:1 x; b<; b? get h:1 = x",
	} {
		t.Run(name, func(t *testing.T) { tellStory(t, story) })
	}
}

func tellStory(t *testing.T, story string) {
	s := newReplayStory(t, 2)
	s.sites, s.keys = s.sites[:2], replayKeys
	at := map[byte]*site{'a': s.sites[0], 'b': s.sites[1]}
	for _, one := range s.sites {
		one.apart = 0
	}
	for _, step := range strings.Split(story, ";") {
		step = strings.TrimSpace(step)
		if step[0] == '+' {
			n, err := strconv.Atoi(step[1:])
			check(t, err)
			s.now = s.now.Add(time.Duration(n) * time.Second)
			continue
		}
		s.do(at[step[0]], step[1], strings.TrimSpace(step[2:]))
	}
	s.settle()
	s.compare("in the end")
	for _, one := range s.sites {
		s.tidy(one)
	}
	s.compare("with the watermarks up")
}

func (s *replayStory) do(at *site, what byte, line string) {
	s.t.Helper()
	switch what {
	case '<':
		for _, from := range s.others(at) {
			n, _ := strconv.Atoi(line)
			for range n {
				s.deliver(at, from.parts[0])
			}
			if n == 0 {
				s.deliverAll(at, from)
			}
		}
	case '^':
		s.tidy(at)
	case ':', '?':
		line, want, asked := strings.Cut(line, " = ")
		key := words(line + " -")[1]
		reply := at.part(key).run(s.now, line)
		s.say("%s: %s → %q", at.name, line, reply)
		if got := plainReply(reply); asked && got != want {
			s.fail("%s at %s: %s, want %s", line, at.name, got, want)
		}
	}
}

// deliverAll brings all entries, and then the time.
func (s *replayStory) deliverAll(to, from *site) {
	for _, p := range from.parts {
		for to.parts[0].place(p).next < len(p.log) {
			s.deliver(to, p)
		}
		s.deliver(to, p)
	}
}

// plainReply is a reply without its marks and lengths.
func plainReply(reply string) string {
	var words []string
	for _, line := range strings.Split(strings.TrimSpace(reply), "\r\n") {
		switch {
		case line[0] == '*' || line[0] == '$':
		case line[0] == ':' || line[0] == '+':
			words = append(words, line[1:])
		default:
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}
