package sinks

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
)

// What can be opened can be checked, and the other way round; a check finds what opening would.
func TestAll(t *testing.T) {
	set := All("dc-a", nil)
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
	} {
		s := changefeed.Spec{ID: "f", Namespace: "default", SinkURI: uri}
		s.SetDefaults()
		err := set.Check["kafka"](t.Context(), &s)
		var cause *changefeed.Error
		if good != (err == nil) || err != nil && (!errors.As(err, &cause) || cause.Code != changefeed.CodeSinkConfig) {
			t.Errorf("%s: %v", uri, err)
		}
		if !good {
			continue
		}
		sink, err := set.Open["kafka"](&s)
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
