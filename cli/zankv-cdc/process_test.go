package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// TestMain makes the test binary the command itself, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("ZANKV_CDC_PROCESS") != "" {
		main()
	}
	os.Unsetenv("ZANKV_NODES") // of whoever runs the tests
	os.Exit(m.Run())
}

func follow(t *testing.T, h *feedtest.History) (cmd *exec.Cmd, stdout io.ReadCloser, stderr *strings.Builder) {
	c := feedtest.NewCell(t, h, 1)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe, "tail", "--nodes", c.Addresses()[0], "--partition", "3", "--follow")
	cmd.Env = append(os.Environ(), "ZANKV_CDC_PROCESS=1")
	stderr = &strings.Builder{}
	cmd.Stderr = stderr
	if stdout, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, stdout, stderr
}

func TestInterruptEndsInOrder(t *testing.T) {
	h := feedtest.NewHistory()
	h.Set(2, "k", "v")
	cmd, stdout, stderr := follow(t, h)
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"key":"k"`) {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil || len(rest) > 0 || stderr.Len() > 0 {
		t.Fatalf("%v, then %q and %q", err, rest, stderr)
	}
}

func TestClosedPipeEndsInOrder(t *testing.T) {
	h := feedtest.NewHistory()
	h.Set(2, "k", "v")
	cmd, stdout, stderr := follow(t, h)
	if _, err := stdout.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	h.Set(2, "l", "v")
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v and %q", err, stderr)
	}
}
