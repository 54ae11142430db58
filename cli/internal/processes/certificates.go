package processes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are an authority's and those of a server on 127.0.0.1 (or localhost) and of a client, which it signed. All
// are PEM files, valid for a day.
type Certificates struct {
	CAFile            string
	CertFile, KeyFile string // the client's
	server            string // its key and certificate in one file, as Java wants them
	Pool              *x509.CertPool
	clientPair        tls.Certificate
	authority         *x509.Certificate
	authorityKey      *ecdsa.PrivateKey
}

// MakeCertificates makes all of them anew, in dir.
func MakeCertificates(dir string) (*Certificates, error) {
	c := &Certificates{
		CAFile:   filepath.Join(dir, "ca.pem"),
		CertFile: filepath.Join(dir, "client.pem"),
		KeyFile:  filepath.Join(dir, "client-key.pem"),
		server:   filepath.Join(dir, "server.pem"),
		Pool:     x509.NewCertPool(),
	}
	if err := c.make(dir); err != nil {
		return nil, fmt.Errorf("processes: certificates: %w", err)
	}
	return c, nil
}

func (c *Certificates) make(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, _, err := c.sign("ZanKV tests", 1, x509.ExtKeyUsageAny)
	if err != nil {
		return err
	}
	c.Pool.AddCert(c.authority)
	server, serverKey, err := c.sign("127.0.0.1", 2, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	client, clientKey, err := c.sign("client", 3, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	if c.clientPair, err = tls.X509KeyPair(client, clientKey); err != nil {
		return err
	}
	for file, content := range map[string][]byte{c.CAFile: ca, c.CertFile: client, c.KeyFile: clientKey, c.server: append(serverKey, server...)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sign makes a certificate with its key; the first is the authority's own.
func (c *Certificates) sign(name string, serial int64, use x509.ExtKeyUsage) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	if c.authority == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		c.authority, c.authorityKey = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.authority, &private.PublicKey, c.authorityKey)
	if err != nil {
		return nil, nil, err
	}
	if template.IsCA {
		if c.authority, err = x509.ParseCertificate(der); err != nil {
			return nil, nil, err
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// Client trusts the authority alone, and shows the client's certificate to whom asks.
func (c *Certificates) Client() *tls.Config {
	return &tls.Config{RootCAs: c.Pool, Certificates: []tls.Certificate{c.clientPair}, MinVersion: tls.VersionTLS12}
}

// kafka are a broker's settings.
func (c *Certificates) kafka() map[string]string {
	return map[string]string{
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   c.server,
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": c.CAFile,
	}
}
