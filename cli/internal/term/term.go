// Package term tells terminals from pipes, and asks people who sit at one.
package term

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Is says whether what is read or written is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// Confirm asks a question on w and says whether the answer read from r is y or yes. The end of r is no answer.
func Confirm(r io.Reader, w io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprintf(w, "%s [y/N] ", question); err != nil {
		return false, err
	}
	answer, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// Clear is what empties a terminal and puts the cursor at its beginning.
const Clear = "\x1b[H\x1b[2J"

// Line is what goes back to the beginning of a terminal's line and empties it.
const Line = "\r\x1b[K"
