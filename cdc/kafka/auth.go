package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Names of SASL mechanisms, as the URI has them.
const (
	saslPlain    = "plain"
	saslScram256 = "scram-sha-256"
	saslScram512 = "scram-sha-512"
)

var mechanisms = []string{saslPlain, saslScram256, saslScram512}

// maxSecretFile bounds what is read of a password's file.
const maxSecretFile = 64 << 10

// tlsConfig reads the files that the URI names; nil if there is no encryption.
func (t TLS) tlsConfig() (*tls.Config, error) {
	if !t.On {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka: option ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka: option ca: %s has no certificate in PEM form", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka: options cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// mechanism looks the password up; nil if there is no SASL.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	if s.Mechanism == "" {
		return nil, nil
	}
	password, err := s.password()
	if err != nil {
		return nil, err
	}
	switch s.Mechanism {
	case saslScram256:
		return scram.Mechanism(scram.SHA256, s.User, password)
	case saslScram512:
		return scram.Mechanism(scram.SHA512, s.User, password)
	}
	return plain.Mechanism{Username: s.User, Password: password}, nil
}

// password is the file's content without the line's end, or the variable's.
func (s SASL) password() (string, error) {
	if s.PasswordEnv != "" {
		p, ok := os.LookupEnv(s.PasswordEnv)
		if !ok {
			return "", fmt.Errorf("kafka: option password-env: this process has no variable %s", s.PasswordEnv)
		}
		return p, nil
	}
	info, err := os.Stat(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("kafka: option password-file: %w", err)
	}
	if info.Size() > maxSecretFile {
		return "", fmt.Errorf("kafka: option password-file: %s has %d bytes: want at most %d", s.PasswordFile, info.Size(), maxSecretFile)
	}
	data, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("kafka: option password-file: %w", err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
