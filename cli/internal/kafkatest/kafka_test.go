package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/message"
	"github.com/zankv/zankv/cli/internal/processes"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, o processes.KafkaOptions) *processes.Kafka {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "kafka")
	k, err := processes.StartKafka(within(t, time.Minute), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Kill)
	return k
}

// target is the only partition of a changefeed, for the owner of an epoch.
func target(epoch uint64) changefeed.Target {
	return changefeed.Target{Spec: &changefeed.Spec{ID: "orders", Namespace: "default", Format: changefeed.JSON}, Cluster: "dc-a", Partitions: 1,
		Epoch: epoch, Budget: changefeed.NewBudget(16 << 20), Meter: &changefeed.Meter{}}
}

func sink(t *testing.T, uri string) (*kafka.Sink, *kafka.Config) {
	t.Helper()
	c, err := kafka.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kafka.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, c
}

// lines are messages of a log of sets, one event each.
func lines(n int) []message.Message {
	st := event.Stamp{Cluster: "dc-a", Namespace: "default"}
	names := event.Names{"", "dc-a"}
	var scratch event.Scratch
	var all []message.Message
	for i := range n {
		at := time.Now().UnixNano()
		key := fmt.Appendf(nil, "users:%d", i%10)
		ev := &event.Event{Time: at, Term: 2, Mutations: []event.Mutation{{Op: event.OpSet, Type: event.TypeString, Key: key, Command: "set",
			Value: fmt.Appendf(nil, "v%d", i), Version: event.Version{Time: at, Cluster: 1}}}}
		st.Prev, st.PrevChain = st.Position, st.Chain
		st.Position = event.Position{Term: 2, Index: uint64(i + 1)}
		st.Chain = event.NextChain(st.PrevChain, &st, ev, names, &scratch)
		all = append(all, message.Message{Kind: message.Change, Key: key, Of: 1, Position: st.Position, Time: at,
			Value: bytes.TrimSuffix(event.AppendJSON(nil, &st, ev, 0, names), []byte("\n"))})
	}
	return all
}

// read gives the values of a topic's partition 0.
func read(t *testing.T, c *kafka.Config) (values []string) {
	t.Helper()
	ctx := within(t, time.Minute)
	topic, err := kafka.OpenTopic(ctx, c, "dc-a", "default")
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	ends, err := topic.Ends(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := topic.Reader(0, -1, ends[0].End)
	for {
		m, err := r.Next(ctx)
		if err == io.EOF {
			return values
		}
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(m.Value))
	}
}

func isWritten(t *testing.T, c *kafka.Config, want []message.Message) {
	t.Helper()
	got := read(t, c)
	for i := range min(len(got), len(want)) {
		if got[i] != string(want[i].Value) {
			t.Fatalf("message %d is %s, want %s", i, got[i], want[i].Value)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
}

// TestSecurity: TLS with certificates on both sides, and each way of logging in.
func TestSecurity(t *testing.T) {
	dir := t.TempDir()
	certificates, err := processes.MakeCertificates(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := start(t, processes.KafkaOptions{TLS: certificates, ClientCertificates: true, Users: map[string]string{"feed": "se:cret=/x"},
		Mechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}})
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("se:cret=/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KAFKA_PASSWORD", "se:cret=/x")
	t.Setenv("KAFKA_WRONG", "guess")
	tls := fmt.Sprintf("tls=true&ca=%s&cert=%s&key=%s", certificates.CAFile, certificates.CertFile, certificates.KeyFile)
	for i, login := range []string{"sasl=plain&user=feed&password-file=" + secret, "sasl=plain&user=feed&password-env=KAFKA_PASSWORD",
		"sasl=scram-sha-256&user=feed&password-file=" + secret, "sasl=scram-sha-512&user=feed&password-file=" + secret} {
		s, c := sink(t, fmt.Sprintf("kafka://%s/secure-%d?%s&%s", k.Addr(), i, tls, login))
		a, _, err := s.Appender(within(t, time.Minute), target(1))
		if err != nil {
			t.Fatalf("%s: %v", login, err)
		}
		want := lines(10)
		if err := a.Append(within(t, time.Minute), &message.Batch{Messages: want}); err != nil {
			t.Fatalf("%s: %v", login, err)
		}
		isWritten(t, c, want)
	}
	for query, want := range map[string]struct {
		code changefeed.Code
		word string
	}{
		tls + "&sasl=plain&user=feed&password-env=KAFKA_WRONG":         {changefeed.CodeBrokerAuth, "SASL"},
		tls + "&sasl=scram-sha-256&user=feed&password-env=KAFKA_WRONG": {changefeed.CodeBrokerAuth, "SASL"},
		tls + "&sasl=scram-sha-512&user=who&password-env=KAFKA_WRONG":  {changefeed.CodeBrokerAuth, "who"},
		tls + "&sasl=plain&user=feed&password-env=NO_SUCH_VARIABLE":    {changefeed.CodeBrokerAuth, "NO_SUCH_VARIABLE"},
		tls: {changefeed.CodeBrokerAuth, ""},
		"tls=true&sasl=plain&user=feed&password-env=KAFKA_PASSWORD": {changefeed.CodeBrokerAuth, "certificate"},
		"sasl=plain&user=feed&password-env=KAFKA_PASSWORD":          {"", "tls=true"},
	} {
		s, _ := sink(t, fmt.Sprintf("kafka://%s/secure-0?%s", k.Addr(), query))
		_, _, err := s.Appender(within(t, 5*time.Second), target(2))
		var e *changefeed.Error
		if !errors.As(err, &e) || want.code != "" && e.Code != want.code || e.Final || !strings.Contains(e.Error(), want.word) {
			t.Errorf("%s gives %v", query, err)
		} else if strings.Contains(e.Error()+e.Action, "guess") {
			t.Errorf("%s: the error shows the password: %v", query, e)
		}
	}
}

// TestExampleConsumer: the example gives each change once, and the state that they add up to.
func TestExampleConsumer(t *testing.T) {
	k := start(t, processes.KafkaOptions{})
	s, _ := sink(t, "kafka://"+k.Addr()+"/shown?compression=zstd")
	a, _, err := s.Appender(within(t, time.Minute), target(1))
	if err != nil {
		t.Fatal(err)
	}
	want := lines(100)
	var cut []message.Message
	for _, m := range want { // as a writer does with values that don't fit
		whole := m.Value
		for at := 0; at < len(whole); at += 150 {
			m.Value, m.Offset, m.Total = whole[at:min(at+150, len(whole))], uint64(at), uint64(len(whole))
			cut = append(cut, m)
		}
	}
	for range 2 { // a consumer may get what it had again
		if err := a.Append(within(t, time.Minute), &message.Batch{Messages: cut}); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "kafka-consumer")
	build := exec.Command("go", "build", "-o", program, "github.com/zankv/zankv/deployments/examples/kafka-consumer")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	consume := func(print string) string {
		c := exec.CommandContext(within(t, time.Minute), program, "--brokers", k.Addr(), "--topic", "shown", "--group", "test-"+print, "--until-idle", "2s",
			"--print", print)
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	var all strings.Builder
	for _, m := range want {
		fmt.Fprintf(&all, "%s\n", m.Value)
	}
	if got := consume("json"); got != all.String() {
		t.Errorf("it prints %d bytes, want %d:\n%.500s", len(got), all.Len(), got)
	}
	var state strings.Builder
	for i := range 10 {
		fmt.Fprintf(&state, `{"key":"users:%d","type":"string","value":"v%d"}`+"\n", i, 90+i)
	}
	if got := consume("fold"); got != state.String() {
		t.Errorf("the state is\n%s", got)
	}
}
