package term

import (
	"os"
	"strings"
	"testing"
)

func TestIs(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if Is(null) || Is(r) || Is(w) || Is(&strings.Builder{}) || Is(nil) {
		t.Error("that is no terminal")
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if !Is(master) {
		t.Error("that is a terminal")
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \r\n": true, "y": true, "n\n": false, "\n": false, "": false, "yep\n": false} {
		var b strings.Builder
		if got, err := Confirm(strings.NewReader(answer), &b, "Remove it?"); got != want || err != nil || b.String() != "Remove it? [y/N] " {
			t.Errorf("%q: %v, %v, %q", answer, got, err, b.String())
		}
	}
}
