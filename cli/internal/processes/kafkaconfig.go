package processes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prepare writes the broker's settings, and returns the options with which its script runs.
func (o *KafkaOptions) prepare() ([]string, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("processes: kafka: %w", err)
	}
	file := filepath.Join(o.Dir, "properties")
	if err := os.WriteFile(file, []byte(properties(o.settings())), 0o600); err != nil {
		return nil, fmt.Errorf("processes: kafka: %w", err)
	}
	args := []string{"--dir", filepath.Join(o.Dir, "data"), "--properties", file, "--protocol", o.protocol()}
	if !o.LongLived {
		args = append(args, "--lifetime", "short")
	}
	if o.Disk != nil {
		args = append(args, "--log-dir", filepath.Join(o.Disk.Dir, "log"))
	}
	for _, mechanism := range o.Mechanisms {
		if !isSCRAM(mechanism) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(o.Users)) {
			args = append(args, "--scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, o.Users[name]))
		}
	}
	return args, nil
}

func (o *KafkaOptions) protocol() string {
	switch {
	case o.TLS != nil && len(o.Mechanisms) > 0:
		return "SASL_SSL"
	case o.TLS != nil:
		return "SSL"
	case len(o.Mechanisms) > 0:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

func isSCRAM(mechanism string) bool { return strings.HasPrefix(mechanism, "SCRAM-") }

// settings are those of security, and the caller's, which win.
func (o *KafkaOptions) settings() map[string]string {
	all := map[string]string{}
	if o.TLS != nil {
		maps.Copy(all, o.TLS.kafka())
		if o.ClientCertificates {
			all["ssl.client.auth"] = "required"
		}
	}
	if len(o.Mechanisms) > 0 {
		all["sasl.enabled.mechanisms"] = strings.Join(o.Mechanisms, ",")
	}
	for _, m := range o.Mechanisms {
		all["listener.name.client."+strings.ToLower(m)+".sasl.jaas.config"] = o.login(m)
	}
	maps.Copy(all, o.Properties)
	return all
}

// login is the module that checks a mechanism's passwords: PLAIN's stand in it, SCRAM's in the broker's metadata.
func (o *KafkaOptions) login(mechanism string) string {
	if isSCRAM(mechanism) {
		return "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
	module := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, name := range slices.Sorted(maps.Keys(o.Users)) {
		module += fmt.Sprintf(" user_%s=%q", name, o.Users[name])
	}
	return module + ";"
}

// properties renders settings as Java reads them.
func properties(settings map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s=%s\n", key, escape.Replace(settings[key]))
	}
	return b.String()
}
