package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to the first comes out of the second, and the other way round.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// Whoever sits at a terminal is asked before a changefeed is removed, and only yes is yes.
func TestAsksAtATerminal(t *testing.T) {
	c := newCluster(t, logOf(0, 5))
	t.Setenv("ZANKV_NODES", c.Address)
	must(t, "changefeed create -c orders --sink-uri file:///backup")
	for _, answer := range []struct {
		text string
		code int
	}{{"no\n", 2}, {"\n", 2}, {"yes\n", 0}} {
		master, slave := terminal(t)
		if _, err := io.WriteString(master, answer.text); err != nil {
			t.Fatal(err)
		}
		var stdout strings.Builder
		code := run(t.Context(), strings.Fields("zankv-cdc changefeed remove -c orders"), slave, &stdout, slave)
		if code != answer.code || (code == 0) != strings.Contains(stdout.String(), "is removed") {
			t.Errorf("%q: exit %d, %q", answer.text, code, stdout.String())
		}
		slave.Close()
		// A terminal whose other side is closed ends with an error.
		if asked, _ := io.ReadAll(master); !strings.Contains(string(asked), "Remove changefeed orders?") {
			t.Errorf("%q: asked %q", answer.text, asked)
		}
	}
	if r := command(t, "changefeed query -c orders"); r.code != 4 {
		t.Errorf("%+v", r)
	}
}
