package kafka

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	yes := true
	base := func(change func(*Config)) *Config {
		c := &Config{Brokers: []string{"a:9092"}, Template: DefaultTemplate, Compression: DefaultCompression, Create: true, TopicConfig: map[string]string{}}
		change(c)
		return c
	}
	for uri, want := range map[string]*Config{
		"kafka://a:9092":  base(func(*Config) {}),
		"kafka://a:9092/": base(func(*Config) {}),
		"kafka://a:9092,[::1]:9093/x-{namespace}?compression=zstd": base(func(c *Config) {
			c.Brokers, c.Template, c.Compression = []string{"a:9092", "[::1]:9093"}, "x-{namespace}", CompressZstd
		}),
		"kafka://a:9092/%7Bcluster%7D?replication=3&create=false&topic-config.cleanup.policy=compact,delete&tombstones=true&max-message-bytes=50000&acks=all": base(func(c *Config) {
			c.Template, c.Replication, c.Create, c.Tombstones, c.MaxMessageBytes = "{cluster}", 3, false, &yes, 50000
			c.TopicConfig["cleanup.policy"] = "compact,delete"
		}),
		"kafka://a:9092?tls=true&ca=/c&cert=/d&key=/e&server-name=k&sasl=scram-sha-512&user=u&password-file=/p": base(func(c *Config) {
			c.TLS = TLS{On: true, CA: "/c", Cert: "/d", Key: "/e", ServerName: "k"}
			c.SASL = SASL{Mechanism: "scram-sha-512", User: "u", PasswordFile: "/p"}
		}),
	} {
		got, err := ParseURI(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n%+v\nwant\n%+v", uri, *got, *want)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	for uri, word := range map[string]string{
		"http://a:9092":                  "kafka://",
		"kafka://":                       "host:port",
		"kafka://a":                      "host:port",
		"kafka://a:9092,":                "host:port",
		"kafka://a:0":                    "port",
		"kafka://a:x":                    "port",
		"kafka://u:secret@a:9092":        "password",
		"kafka://a:9092?password=secret": "password-file",
		"kafka://a:9092/x#y":             "fragment",
		"kafka://a:9092/x/y":             "topic",
		"kafka://a:9092/..":              "topic",
		"kafka://a:9092/{table}":         "{table}",
		"kafka://a:9092/x{":              "topic",
		"kafka://a:9092/" + strings.Repeat("x", 250):                      "249",
		"kafka://a:9092?nonsense=1":                                       "nonsense",
		"kafka://a:9092?acks=1":                                           "acks",
		"kafka://a:9092?tls=yes":                                          "tls",
		"kafka://a:9092?tls=true&tls=false":                               "once",
		"kafka://a:9092?ca=/x":                                            "tls=true",
		"kafka://a:9092?tls=true&cert=/x":                                 "key",
		"kafka://a:9092?user=x":                                           "sasl",
		"kafka://a:9092?sasl=gssapi&user=x&password-env=X":                "gssapi",
		"kafka://a:9092?sasl=plain&password-env=X":                        "user",
		"kafka://a:9092?sasl=plain&user=x":                                "password-file",
		"kafka://a:9092?sasl=plain&user=x&password-env=X&password-file=y": "one of them",
		"kafka://a:9092?replication=0":                                    "replication",
		"kafka://a:9092?max-message-bytes=100":                            "max-message-bytes",
		"kafka://a:9092?compression=brotli":                               "brotli",
		"kafka://a:9092?topic-config.=1":                                  "topic-config",
		"kafka://a:9092?%zz=1":                                            "options",
	} {
		_, err := ParseURI(uri)
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %v, want one about %q", uri, err, word)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", uri, err)
		}
	}
}

func TestTopicNames(t *testing.T) {
	c := &Config{Template: DefaultTemplate}
	if name, err := c.Topic("dc-a", "default"); err != nil || name != "dc-a.default" {
		t.Errorf("topic %q, %v", name, err)
	}
	for _, bad := range []string{"a b", "", strings.Repeat("x", 250)} {
		c.Template = "{namespace}"
		if name, err := c.Topic("dc-a", bad); err == nil {
			t.Errorf("namespace %q gives topic %q", bad, name)
		}
	}
}
