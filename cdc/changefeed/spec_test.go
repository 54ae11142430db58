package changefeed_test

import (
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
)

// Whatever is wrong with a URI, what may be a password in it isn't shown.
func TestShownURI(t *testing.T) {
	for uri, want := range map[string]string{
		"kafka://127.0.0.1:9092/t":               "kafka://127.0.0.1:9092/t",
		"kafka://me:s3cret@127.0.0.1:9092/t?a=b": "kafka://…@127.0.0.1:9092/t?…",
		"kafka://me:s3@cret@127.0.0.1/t":         "kafka://…@127.0.0.1/t",
		"kafka:/me:s3cret@127.0.0.1/t":           "…",
		"kafka://a:1/t?password=s3cret":          "kafka://a:1/t?…",
		"nowhere":                                "nowhere",
	} {
		if got := changefeed.ShownURI(uri); got != want {
			t.Errorf("%s is shown as %s, want %s", uri, got, want)
		}
	}
	spec := changefeed.Spec{ID: "f", Namespace: "default", SinkURI: "kafka://me:s3%cret@a:1/t"}
	spec.SetDefaults()
	if err := spec.Validate(); err == nil || strings.Contains(err.Error(), "cret") {
		t.Errorf("got %v", err)
	}
}
