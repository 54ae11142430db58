package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/nodes"
	"github.com/zankv/zankv/replay/syncer"
)

// settings are what a syncer is told, by its file and by options. A key of the file is an option's name.
type settings struct {
	Source      names  `json:"source"`
	Target      names  `json:"target"`
	Namespace   names  `json:"namespace"`
	Name        string `json:"name"`
	Bandwidth   string `json:"bandwidth"`
	Compression string `json:"compression"`
	Memory      string `json:"memory"`
	HTTP        string `json:"http"`
	Pprof       string `json:"pprof"`
	Redefine    bool   `json:"redefine"`
}

// names are a list, or text with commas.
type names []string

// UnmarshalJSON reads either.
func (n *names) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		*n = nodes.Split(text)
		return nil
	}
	var all []string
	if err := json.Unmarshal(b, &all); err != nil {
		return errors.New("want a text, or a list of texts")
	}
	*n = all
	return nil
}

// maxSettings bounds the file.
const maxSettings = 1 << 20

// syncSettings reads the file, if there is one, and then the options.
func syncSettings(c *cli.Context) (*settings, error) {
	s := &settings{}
	if path := c.String("config"); path != "" {
		if err := s.read(path); err != nil {
			return nil, misused(c, "config", err)
		}
	}
	for flag, to := range map[string]*names{"source": &s.Source, "target": &s.Target, "namespace": &s.Namespace} {
		if c.IsSet(flag) {
			if *to = nodes.Split(c.String(flag)); len(*to) == 0 {
				return nil, misused(c, flag, errors.New("names nothing"))
			}
		}
	}
	for flag, to := range map[string]*string{
		"name": &s.Name, "bandwidth": &s.Bandwidth, "compression": &s.Compression, "memory": &s.Memory, "http": &s.HTTP, "pprof": &s.Pprof,
	} {
		if c.IsSet(flag) {
			*to = c.String(flag)
		}
	}
	if c.IsSet("redefine") {
		s.Redefine = c.Bool("redefine")
	}
	return s, nil
}

func (s *settings) read(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxSettings {
		return fmt.Errorf("%s has %d bytes: want at most %d", path, info.Size(), maxSettings)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("%s: %w; the keys are source, target, namespace, name, bandwidth, compression, memory, http, pprof, redefine", path, err)
	}
	if d.More() {
		return fmt.Errorf("%s: something stands behind the object", path)
	}
	return nil
}

// options are what the syncer works with.
func (s *settings) options(c *cli.Context) (*syncer.Options, error) {
	o := &syncer.Options{Source: s.Source, Target: s.Target, Name: s.Name, Redefine: s.Redefine}
	for _, side := range []struct {
		flag  string
		nodes names
	}{{"source", s.Source}, {"target", s.Target}} {
		if err := checkNodes(c, side.flag, side.nodes); err != nil {
			return nil, err
		}
	}
	if !slices.Equal(s.Namespace, names{"all"}) {
		o.Namespaces = s.Namespace
	}
	if s.Bandwidth != "" {
		n, err := parseBytes(s.Bandwidth)
		if err != nil {
			return nil, misused(c, "bandwidth", err)
		}
		o.Bandwidth = &n
	}
	if s.Compression != "" {
		if o.Compression = &s.Compression; s.Compression != "zstd" && s.Compression != "none" {
			return nil, misused(c, "compression", fmt.Errorf("%q: want zstd or none", s.Compression))
		}
	}
	if s.Memory != "" {
		n, err := parseBytes(s.Memory)
		if err == nil && n < syncer.MinMemory {
			err = fmt.Errorf("%q: want at least %d bytes", s.Memory, syncer.MinMemory)
		}
		if err != nil {
			return nil, misused(c, "memory", err)
		}
		o.MemoryBytes = n
	}
	return o, nil
}

func checkNodes(c *cli.Context, flag string, all names) error {
	if len(all) == 0 {
		return failure.Misuse(fmt.Errorf("%s: --%s is missing: name at least one of its nodes, as 10.0.0.1:12382", c.Command.Name, flag))
	}
	for _, node := range all {
		if host, port, err := net.SplitHostPort(node); err != nil || host == "" || port == "" {
			return misused(c, flag, fmt.Errorf("%q: want HOST:PORT, of a node's gRPC", node))
		}
	}
	return nil
}
