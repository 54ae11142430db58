package processes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// broker runs one for a test, in its own folder.
func broker(t *testing.T, o KafkaOptions) *Kafka {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "kafka")
	k, err := StartKafka(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Kill()
		if t.Failed() {
			t.Log(k.LogTail())
		}
	})
	return k
}

// client is a fresh one: kafka-go remembers for seconds what it saw of a broker that was down.
func client(t *testing.T, k *Kafka, login sasl.Mechanism) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{SASL: login}
	if k.TLS != nil {
		transport.TLS = k.TLS.Client()
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: transport, Timeout: 10 * time.Second}
}

func makeTopic(ctx context.Context, c *kafka.Client, topic string) error {
	r, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil {
		return err
	}
	return r.Errors[topic]
}

func put(ctx context.Context, c *kafka.Client, topic string, values ...string) error {
	var records []kafka.Record
	for _, v := range values {
		records = append(records, kafka.Record{Value: kafka.NewBytes([]byte(v))})
	}
	r, err := c.Produce(ctx, &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
	if err != nil {
		return err
	}
	return r.Error
}

// all reads a topic from its beginning.
func all(ctx context.Context, c *kafka.Client, topic string) ([]string, error) {
	var values []string
	for next, high := int64(0), int64(1); next < high; {
		r, err := c.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Offset: next, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err == nil {
			err = r.Error
		}
		if err != nil {
			return nil, err
		}
		high = r.HighWatermark
		for {
			record, err := r.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			v, err := kafka.ReadAll(record.Value)
			if err != nil {
				return nil, err
			}
			values, next = append(values, string(v)), record.Offset+1
		}
	}
	return values, nil
}

func mustDo(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// What is acknowledged outlives kill -9, on the same address, and an orderly stop.
func TestKafkaKeeps(t *testing.T) {
	k := broker(t, KafkaOptions{})
	mustDo(t, "make a topic", makeTopic(t.Context(), client(t, k, nil), "t"))
	var want []string
	lives := []func(){
		k.Kill,
		func() { mustDo(t, "stop", k.Stop(t.Context())) },
		func() {},
	}
	for life, end := range lives {
		c := client(t, k, nil)
		for i := range 10 {
			v := fmt.Sprintf("%d.%d", life, i)
			mustDo(t, "put", put(t.Context(), c, "t", v))
			want = append(want, v)
		}
		got, err := all(t.Context(), c, "t")
		mustDo(t, "read", err)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("in life %d, got %q, want %q", life, got, want)
		}
		end()
		if k.PID() == 0 {
			mustDo(t, "start again", k.Start(t.Context()))
		}
	}
}

// A paused broker answers nothing, and goes on.
func TestKafkaPause(t *testing.T) {
	k := broker(t, KafkaOptions{})
	c := client(t, k, nil)
	mustDo(t, "make a topic", makeTopic(t.Context(), c, "t"))
	k.Pause()
	paused, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := put(paused, c, "t", "a"); err == nil {
		t.Fatal("a paused broker answers")
	}
	k.Resume()
	mustDo(t, "go on", k.Serving(t.Context()))
	mustDo(t, "put", put(t.Context(), client(t, k, nil), "t", "b"))
}

// The caller's settings win, over the script's as well.
func TestKafkaProperties(t *testing.T) {
	k := broker(t, KafkaOptions{LongLived: true, Properties: map[string]string{"message.max.bytes": "2000", "auto.create.topics.enable": "true"}})
	c := client(t, k, nil)
	mustDo(t, "make a topic", makeTopic(t.Context(), c, "t"))
	mustDo(t, "put", put(t.Context(), c, "t", strings.Repeat("x", 1000)))
	if err := put(t.Context(), c, "t", strings.Repeat("x", 3000)); !errors.Is(err, kafka.MessageSizeTooLarge) {
		t.Errorf("a large message: %v, want that it is too large", err)
	}
	configs, err := c.DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeBroker, ResourceName: "1", ConfigNames: []string{"auto.create.topics.enable"}}}})
	mustDo(t, "describe", err)
	if got := configs.Resources[0].ConfigEntries[0].ConfigValue; got != "true" {
		t.Errorf("topics are made by mentioning them: %s, want true", got)
	}
}

// Each way of being safe lets in who is right, and nobody else.
func TestKafkaSecurity(t *testing.T) {
	certificates, err := MakeCertificates(t.TempDir())
	mustDo(t, "certificates", err)
	const name, password = "zankv", `q"u\o te`
	right, wrong := logins(t, name, password), logins(t, name, "wrong")
	for _, c := range []struct {
		name    string
		options KafkaOptions
	}{
		{"TLS", KafkaOptions{TLS: certificates}},
		{"TLS both ways", KafkaOptions{TLS: certificates, ClientCertificates: true}},
		{"passwords", KafkaOptions{Mechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, Users: map[string]string{name: password}}},
		{"TLS and passwords", KafkaOptions{TLS: certificates, Mechanisms: []string{"PLAIN", "SCRAM-SHA-512"}, Users: map[string]string{name: password}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := broker(t, c.options)
			if len(c.options.Mechanisms) == 0 {
				mustDo(t, "with a certificate", makeTopic(t.Context(), client(t, k, nil), "t"))
			}
			for i, m := range c.options.Mechanisms {
				mustDo(t, m, makeTopic(t.Context(), client(t, k, right[m]), fmt.Sprintf("t%d", i)))
				// Metadata tells why there is no connection; other requests say that there is no broker.
				if _, err := client(t, k, wrong[m]).Metadata(t.Context(), &kafka.MetadataRequest{}); !errors.Is(err, kafka.SASLAuthenticationFailed) {
					t.Errorf("%s with a wrong password: %v, want a refusal", m, err)
				}
			}
			refused(t, k)
		})
	}
}

// refused are those that lack something.
func refused(t *testing.T, k *Kafka) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	bare := &kafka.Transport{}
	defer bare.CloseIdleConnections()
	if k.TLS != nil {
		inTheClear := &kafka.Transport{}
		defer inTheClear.CloseIdleConnections()
		if err := makeTopic(ctx, &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: inTheClear}, "clear"); err == nil {
			t.Error("a broker with TLS speaks in the clear")
		}
		bare.TLS = &tls.Config{RootCAs: k.TLS.Pool, MinVersion: tls.VersionTLS12}
	}
	err := makeTopic(ctx, &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: bare}, "bare")
	if must := k.ClientCertificates || len(k.Mechanisms) > 0; (err != nil) != must {
		t.Errorf("without login and certificate: %v, want a refusal: %v", err, must)
	}
}

func logins(t *testing.T, name, password string) map[string]sasl.Mechanism {
	t.Helper()
	short, err := scram.Mechanism(scram.SHA256, name, password)
	mustDo(t, "SCRAM", err)
	long, err := scram.Mechanism(scram.SHA512, name, password)
	mustDo(t, "SCRAM", err)
	return map[string]sasl.Mechanism{"PLAIN": plain.Mechanism{Username: name, Password: password}, "SCRAM-SHA-256": short, "SCRAM-SHA-512": long}
}

// Without a broker a test fails, and is told what to do.
func TestKafkaMissing(t *testing.T) {
	t.Setenv("ZANKV_CACHE", t.TempDir())
	_, err := StartKafka(t.Context(), KafkaOptions{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make deps-test") {
		t.Fatalf("got %v, want what to do", err)
	}
}
