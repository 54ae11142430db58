package kafka

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Scheme is that of the sink's URIs.
const Scheme = "kafka"

// Config is what a sink's URI says:
//
//	kafka://host:port[,host:port…][/TOPIC][?option=value&…]
//
// README.md of this package lists the options.
type Config struct {
	// Brokers are asked first, host:port; the cluster names the rest.
	Brokers []string
	// Template is the topic's name with {cluster} and {namespace} in it.
	Template string

	Compression Compression
	TLS         TLS
	SASL        SASL

	// Create says whether a topic that is missing is created, Replication how many replicas it gets (0: the broker's default), TopicConfig its
	// settings.
	Create      bool
	Replication int
	TopicConfig map[string]string
	// Tombstones says whether a deletion is followed by a message without a value. nil: if the topic is compacted.
	Tombstones *bool
	// MaxMessageBytes bounds a record batch. 0: as large as the topic takes.
	MaxMessageBytes int
}

// TLS says how connections are encrypted. File names are read when the sink is made.
type TLS struct {
	On            bool
	CA, Cert, Key string // files; "" is the system's, none
	ServerName    string // "" is the broker's host
}

// SASL says who we are. Mechanism "" is nobody.
type SASL struct {
	Mechanism, User string
	// PasswordFile or PasswordEnv says where the password is. It is looked up at each connection, so that it can be changed.
	PasswordFile, PasswordEnv string
}

// MinMessageBytes is the smallest limit that max-message-bytes can set.
const MinMessageBytes = 4 << 10

// maxReplication is Kafka's int16.
const maxReplication = 1<<15 - 1

// ParseURI reads a sink's URI. It connects to nothing.
func ParseURI(uri string) (*Config, error) {
	hosts, path, query, err := cutURI(uri)
	if err != nil {
		return nil, err
	}
	c := &Config{Template: path, Compression: DefaultCompression, Create: true, TopicConfig: map[string]string{}}
	if c.Template == "" {
		c.Template = DefaultTemplate
	}
	if err := validateTemplate(c.Template); err != nil {
		return nil, err
	}
	if c.Brokers, err = parseBrokers(hosts); err != nil {
		return nil, err
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("kafka: options of the URI: %w", err)
	}
	for _, name := range sorted(options) {
		if len(options[name]) != 1 {
			return nil, fmt.Errorf("kafka: option %s is given %d times: want it once", name, len(options[name]))
		}
		if err := c.set(name, options[name][0]); err != nil {
			return nil, err
		}
	}
	return c, c.consistent()
}

// cutURI takes a URI apart by hand: net/url refuses a list of hosts with ports.
func cutURI(uri string) (hosts, path, query string, err error) {
	rest, ok := strings.CutPrefix(uri, Scheme+"://")
	if !ok {
		return "", "", "", fmt.Errorf("kafka: URI %.60q: want kafka://host:port/topic", uri)
	}
	rest, query, _ = strings.Cut(rest, "?")
	if strings.Contains(rest+query, "#") {
		return "", "", "", fmt.Errorf("kafka: the URI has a fragment (#…): write %%23 for the sign itself")
	}
	hosts, path, _ = strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return "", "", "", fmt.Errorf("kafka: the URI has a user before its hosts: use sasl=…&user=…&password-file=FILE (or password-env=NAME): " +
			"a password in the URI would be seen by everybody who lists changefeeds")
	}
	if path, err = url.PathUnescape(path); err != nil {
		return "", "", "", fmt.Errorf("kafka: topic of the URI: %w", err)
	}
	return hosts, path, query, nil
}

func parseBrokers(hosts string) ([]string, error) {
	var brokers []string
	for _, h := range strings.Split(hosts, ",") {
		host, port, err := net.SplitHostPort(h)
		if err != nil || host == "" {
			return nil, fmt.Errorf("kafka: broker %q: want host:port", h)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("kafka: broker %q: port %q: want 1 to 65535", h, port)
		}
		brokers = append(brokers, h)
	}
	return brokers, nil
}

// set takes one option.
func (c *Config) set(name, value string) (err error) {
	if setting, ok := strings.CutPrefix(name, "topic-config."); ok {
		if setting == "" {
			return fmt.Errorf("kafka: option topic-config.: want topic-config.NAME=VALUE, as topic-config.cleanup.policy=compact")
		}
		c.TopicConfig[setting] = value
		return nil
	}
	switch name {
	case "compression":
		c.Compression, err = parseCompression(value)
	case "tls":
		c.TLS.On, err = parseBool(name, value)
	case "ca":
		c.TLS.CA = value
	case "cert":
		c.TLS.Cert = value
	case "key":
		c.TLS.Key = value
	case "server-name":
		c.TLS.ServerName = value
	case "sasl":
		c.SASL.Mechanism = value
	case "user":
		c.SASL.User = value
	case "password-file":
		c.SASL.PasswordFile = value
	case "password-env":
		c.SASL.PasswordEnv = value
	case "password":
		return fmt.Errorf("kafka: option password: a password in the URI would be kept in etcd and seen by everybody who lists changefeeds: " +
			"put it into a file on each node and say password-file=FILE, or password-env=NAME")
	case "create":
		c.Create, err = parseBool(name, value)
	case "replication":
		c.Replication, err = parseInt(name, value, 1, maxReplication)
	case "tombstones":
		var on bool
		on, err = parseBool(name, value)
		c.Tombstones = &on
	case "max-message-bytes":
		c.MaxMessageBytes, err = parseInt(name, value, MinMessageBytes, maxBatchBytes)
	case "acks":
		if value != "all" {
			return fmt.Errorf("kafka: option acks=%s: it is always all: what one broker alone has may be lost, and a changefeed promises not to", value)
		}
	default:
		return fmt.Errorf("kafka: unknown option %q: want one of %s, topic-config.NAME", name, strings.Join(optionNames, ", "))
	}
	return err
}

var optionNames = []string{"compression", "tls", "ca", "cert", "key", "server-name", "sasl", "user", "password-file", "password-env",
	"create", "replication", "tombstones", "max-message-bytes", "acks"}

// consistent says which options contradict each other.
func (c *Config) consistent() error {
	t, s := c.TLS, c.SASL
	switch {
	case !t.On && t.CA+t.Cert+t.Key+t.ServerName != "":
		return fmt.Errorf("kafka: ca, cert, key and server-name need tls=true")
	case (t.Cert == "") != (t.Key == ""):
		return fmt.Errorf("kafka: a client's certificate needs both cert=FILE and key=FILE")
	case s.Mechanism == "" && s.User+s.PasswordFile+s.PasswordEnv != "":
		return fmt.Errorf("kafka: user and password-… need sasl=%s", strings.Join(mechanisms, " or sasl="))
	case s.Mechanism == "":
		return nil
	case !slices.Contains(mechanisms, s.Mechanism):
		return fmt.Errorf("kafka: sasl=%s: want one of %s", s.Mechanism, strings.Join(mechanisms, ", "))
	case s.User == "":
		return fmt.Errorf("kafka: sasl=%s needs user=NAME", s.Mechanism)
	case (s.PasswordFile == "") == (s.PasswordEnv == ""):
		return fmt.Errorf("kafka: sasl=%s needs password-file=FILE or password-env=NAME, one of them", s.Mechanism)
	}
	return nil
}

func parseBool(name, value string) (bool, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("kafka: option %s=%q: want true or false", name, value)
}

func parseInt(name, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("kafka: option %s=%q: want a number from %d to %d", name, value, least, most)
	}
	return n, nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
