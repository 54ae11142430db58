package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
)

// printed is a key as the example consumer prints it.
type printed struct {
	Key      json.RawMessage
	Type     string
	Value    json.RawMessage
	Elements []json.RawMessage
	ExpireAt int64 `json:"expire_at"`
}

// checkConsumer has the example consumer, a program of its own, read a topic, and holds the state that it prints against the store. Bitmaps, which
// it shows in segments, are only wanted to be there.
func checkConsumer(t *testing.T, k *processes.Kafka, topic string, content map[string]robustness.Entry) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kafka-consumer")
	succeeds(t, "go", "build", "-o", program, "github.com/zankv/zankv/deployments/examples/kafka-consumer")
	out := succeeds(t, program, "--brokers", k.Addr(), "--topic", topic, "--group", "e2e-"+topic, "--until-idle", "2s", "--print", "fold")
	soon := time.Now().Add(patience).UnixMilli()
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		var s printed
		must(t, "a line of the consumer's", json.Unmarshal([]byte(line), &s))
		key := plainText(t, s.Key)
		seen[key] = true
		want, ok := content[key]
		if s.ExpireAt != 0 && s.ExpireAt < soon {
			continue // it may have gone meanwhile, here or there
		}
		if got := s.entry(t); !ok || s.Type != "bitmap" && got != want {
			t.Errorf("the consumer has %q as %.200v, the store as %.200v (there: %v)", key, got, want, ok)
		}
	}
	for key, e := range content {
		if !seen[key] && (e.ExpireAt == 0 || e.ExpireAt >= soon) {
			t.Errorf("the consumer lacks %q: %.200v", key, e)
		}
	}
}

func (s *printed) entry(t *testing.T) robustness.Entry {
	t.Helper()
	e := robustness.Entry{Type: s.Type, ExpireAt: s.ExpireAt}
	if s.Type == "string" {
		if s.Value != nil {
			e.Value = plainText(t, s.Value)
		}
		return e
	}
	elements := make([]string, len(s.Elements))
	for i, b := range s.Elements {
		elements[i] = s.element(t, b)
	}
	e.Value = robustness.Collected(s.Type, elements)
	return e
}

func (s *printed) element(t *testing.T, b json.RawMessage) string {
	t.Helper()
	if s.Type == "list" || s.Type == "set" {
		return plainText(t, b)
	}
	var pair [2]json.RawMessage
	must(t, "a pair", json.Unmarshal(b, &pair))
	second := ""
	if s.Type == "zset" {
		score, err := strconv.ParseFloat(strings.Trim(string(pair[1]), `"`), 64)
		must(t, "a score", err)
		second = strconv.FormatFloat(score, 'g', -1, 64)
	} else {
		second = plainText(t, pair[1])
	}
	return robustness.Joined(plainText(t, pair[0]), second)
}

// plainText is what stands as text, or as base64 where it is none.
func plainText(t *testing.T, b json.RawMessage) string {
	t.Helper()
	var text string
	var other struct{ Base64 []byte }
	if json.Unmarshal(b, &text) == nil {
		return text
	}
	must(t, fmt.Sprintf("text: %.100s", b), json.Unmarshal(b, &other))
	return string(other.Base64)
}
