package processes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// KafkaOptions say what kind of broker to run.
type KafkaOptions struct {
	Dir string // its own; what is there from an earlier broker is served again
	// Disk holds its topics and metadata; nil leaves them in Dir.
	Disk *Disk
	// TLS is what it shows to clients, and whom it trusts; nil speaks in the clear.
	TLS *Certificates
	// ClientCertificates demands of clients that they show one of TLS's. Without TLS it means nothing.
	ClientCertificates bool
	// Mechanisms are the ways of SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) by which clients have to log in; none needs no login.
	Mechanisms []string
	// Users are names and their passwords. Those of SCRAM are made when Dir is new, and stay what they were then.
	Users map[string]string
	// Properties are further settings of the broker, which win over all others.
	Properties map[string]string
	// Proxy is what clients are told to connect to; nil is the broker itself. It is the caller's to close.
	Proxy *Proxy
	// LongLived compiles as in production, which costs more at first: for a broker that is measured.
	LongLived bool
}

// Kafka is a real broker: one node of Apache Kafka that is its own controller, on free ports of 127.0.0.1. It keeps its ports
// and its folder over all its lives.
type Kafka struct {
	*Process
	KafkaOptions
	port, internal int
}

// kafkaPorts: for clients, for itself, for its controller.
const kafkaPorts = 3

// StartKafka runs a broker, and returns when it serves. On an error nothing is left running.
func StartKafka(ctx context.Context, o KafkaOptions) (*Kafka, error) {
	script, err := kafkaScript()
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(kafkaPorts)
	if err != nil {
		return nil, err
	}
	k := &Kafka{KafkaOptions: o, port: ports[0], internal: ports[1]}
	if o.Proxy != nil {
		o.Proxy.To(local(k.port))
		o.Properties = maps.Clone(o.Properties)
		if o.Properties == nil {
			o.Properties = map[string]string{}
		}
		o.Properties["advertised.listeners"] = fmt.Sprintf("CLIENT://%s,INTERNAL://%s", o.Proxy.Addr(), local(k.internal))
	}
	args, err := o.prepare()
	if err != nil {
		return nil, err
	}
	k.Process = New("kafka", filepath.Join(o.Dir, "kafka.log"), script, append(args,
		"--port", strconv.Itoa(k.port), "--internal-port", strconv.Itoa(k.internal), "--controller-port", strconv.Itoa(ports[2]))...)
	if o.Disk != nil {
		k.Wrapper = o.Disk.wrapper()
	}
	if err := k.Start(ctx); err != nil {
		k.Kill()
		return nil, err
	}
	return k, nil
}

// kafkaScript is deployments/kafka/broker.sh, if what it runs is there.
func kafkaScript() (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "deployments", "kafka")
	if err := exec.Command(filepath.Join(dir, "install.sh"), "--where").Run(); err != nil {
		return "", fmt.Errorf("processes: no Kafka broker is installed (%w): `make deps-test` installs what tests need", err)
	}
	return filepath.Join(dir, "broker.sh"), nil
}

// KafkaVersion is the installed broker's.
func KafkaVersion() (string, error) {
	script, err := kafkaScript()
	if err != nil {
		return "", err
	}
	where, err := exec.Command(filepath.Join(filepath.Dir(script), "install.sh"), "--where").Output()
	if err != nil {
		return "", fmt.Errorf("processes: where Kafka is installed: %w", err)
	}
	jars, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(where)), "lib", "kafka_2.13-*.jar"))
	if err != nil || len(jars) != 1 {
		return "", fmt.Errorf("processes: %s has %d jars of the broker: %w", where, len(jars), err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "kafka_2.13-"), ".jar"), nil
}

// Addr is where clients connect.
func (k *Kafka) Addr() string {
	if k.Proxy != nil {
		return k.Proxy.Addr()
	}
	return local(k.port)
}

// Start begins a life, and returns when the broker serves: about 2 s in a new folder, 4 s after Kill, because its controller
// first waits for the session of the dead to end.
func (k *Kafka) Start(ctx context.Context) error {
	if err := k.Process.Start(); err != nil {
		return err
	}
	return k.Serving(ctx)
}

// Serving returns when the broker counts itself among those that serve.
func (k *Kafka) Serving(ctx context.Context) error {
	return k.until(ctx, func(ctx context.Context) error { return askKafka(ctx, local(k.internal)) })
}

// killedByTerm is how a Java process ends on SIGTERM, all having gone well.
const killedByTerm = 128 + int(syscall.SIGTERM)

// Stop ends the broker in order.
func (k *Kafka) Stop(ctx context.Context) error {
	err := k.Process.Stop(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == killedByTerm {
		return nil
	}
	return err
}

// Pause stops the broker's clock: it holds its connections and answers nothing.
func (k *Kafka) Pause() { k.Signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on. After a pause of more than a few seconds its controller may take it for dead: for a moment,
// which Serving can be too early to see, its partitions have no leader.
func (k *Kafka) Resume() { k.Signal(syscall.SIGCONT) }
