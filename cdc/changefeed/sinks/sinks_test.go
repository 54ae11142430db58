package sinks

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

func all(t *testing.T) Set {
	set := All(Options{Cluster: "dc-a", Nodes: []string{"127.0.0.1:1"}})
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// What can be opened can be checked, and the other way round; a check finds what opening would, and what it wouldn't.
func TestAll(t *testing.T) {
	set := all(t)
	if open, check := slices.Sorted(maps.Keys(set.Open)), slices.Sorted(maps.Keys(set.Check)); !slices.Equal(open, check) {
		t.Fatalf("opened are %v, checked %v", open, check)
	}
	for uri, good := range map[string]bool{
		"kafka://127.0.0.1:9092/{cluster}.{namespace}": true,
		"kafka://127.0.0.1:9092":                       true,
		"kafka://127.0.0.1:9092/{nonsense}":            false,
		"kafka://":                                     false,
		"kafka://h:9092/t?acks=none":                   false,
		"kafka://h:9092/t?no-such-option=1":            false,
		"file:///var/archive/{namespace}":              true,
		"file:///var/archive?compression=zstd":         true,
		"file://host/archive":                          false,
		"file:///var/archive?compression=rar":          false,
		"zankv://10.1.0.1:12382,10.1.0.2:12382":        true,
		"zankv://10.1.0.1:12382?bandwidth=20MiB":       true,
		"zankv://10.1.0.1":                             false,
		"zankv://10.1.0.1:12382/default":               false,
		"zankv://10.1.0.1:12382?password=x":            false,
	} {
		s := changefeed.Spec{ID: "f", Namespace: "default", SinkURI: uri}
		s.SetDefaults()
		scheme, _, _ := strings.Cut(uri, ":")
		err := set.Check[scheme](t.Context(), &s)
		var cause *changefeed.Error
		if good != (err == nil) || err != nil && (!errors.As(err, &cause) || cause.Code != changefeed.CodeSinkConfig) {
			t.Errorf("%s: %v", uri, err)
		}
		if !good {
			if sink, err := set.Open[scheme](&s); err != nil && sink != nil {
				t.Errorf("%s: a sink beside the error %v", uri, err)
			}
			continue
		}
		s.Archive = "s3://bucket"
		if err := set.Check[scheme](t.Context(), &s); !errors.As(err, &cause) || cause.What != "the archive can't be used" && scheme != "zankv" {
			t.Errorf("%s with an archive that can't be: %v", uri, err)
		}
	}
}

// An archive that has nothing says so by the code by which a worker takes a snapshot.
func TestOpenArchive(t *testing.T) {
	s := changefeed.Spec{ID: "f", Namespace: "default", Archive: "file://" + t.TempDir()}
	at := changefeed.Place{After: event.Position{Term: 2, Index: 7}}
	_, err := all(t).OpenArchive(t.Context(), &s, 0, at)
	var cause *changefeed.Error
	if !errors.As(err, &cause) || cause.Code != changefeed.CodeLogCompacted {
		t.Fatalf("got %v", err)
	}
}
