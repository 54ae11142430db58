package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// broker is a real one: deployments/kafka/broker.sh, which becomes the broker. It keeps its ports and its folder over all its lives.
type broker struct {
	addr string
	args []string
	log  string
	cmd  *exec.Cmd
	// probe asks it whether it serves.
	probe *Config
}

// shared is the broker of all tests that do it no harm.
var shared *broker

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "zankv-kafka-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if shared, err = newBroker(dir, "", "log.cleaner.backoff.ms=100\n"); err == nil {
		err = shared.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer shared.kill()
	return m.Run()
}

// newBroker describes a broker; query is what clients have to say after the topic.
func newBroker(dir, query, properties string, args ...string) (*broker, error) {
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	file := filepath.Join(dir, "properties")
	if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
		return nil, err
	}
	b := &broker{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), log: filepath.Join(dir, "log")}
	b.args = append(args, "--dir", filepath.Join(dir, "data"), "--properties", file, "--lifetime", "short",
		"--port", strconv.Itoa(ports[0]), "--internal-port", strconv.Itoa(ports[1]), "--controller-port", strconv.Itoa(ports[2]))
	var err error
	b.probe, err = ParseURI(b.uri("none", query))
	return b, err
}

func startBroker(t *testing.T, query, properties string, args ...string) *broker {
	t.Helper()
	b, err := newBroker(t.TempDir(), query, properties, args...)
	if err == nil {
		err = b.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	return b
}

// uri is the sink's for a topic.
func (b *broker) uri(topic, query string) string {
	return "kafka://" + b.addr + "/" + topic + "?" + query
}

// start begins a life and returns when it serves.
func (b *broker) start() error {
	out, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	b.cmd = exec.Command("../../deployments/kafka/broker.sh", b.args...)
	b.cmd.Stdout, b.cmd.Stderr = out, out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return b.serving(ctx)
}

// serving waits until the broker counts itself among those that serve.
func (b *broker) serving(ctx context.Context) error {
	cl, err := newCluster(b.probe)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		m, err := cl.metadata(ctx, "none")
		if err == nil && len(m.Brokers) == 1 {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			text, _ := os.ReadFile(b.log)
			return errors.Join(fmt.Errorf("no broker: %w", err), errors.New(string(text)))
		}
	}
}

// kill ends it as a power switch would.
func (b *broker) kill() {
	if b.cmd == nil {
		return
	}
	b.cmd.Process.Kill()
	b.cmd.Wait() // it was killed: that it says so is no news
	b.cmd = nil
}

// topicOf makes a name that no other test has.
func topicOf(t *testing.T) string {
	return strings.NewReplacer("/", "-", "=", "-").Replace(t.Name()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// admin is a client that isn't ours.
func (b *broker) admin() *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(b.addr), Timeout: 20 * time.Second, Transport: &kafkago.Transport{}}
}

// SharedBroker is where the tests' broker is, for those outside of the package.
func SharedBroker() string { return shared.addr }
