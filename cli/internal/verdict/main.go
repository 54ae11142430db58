// Command verdict reads `go test -json` and says what matters of it: the closing line of each package, the whole output of
// what failed, and which tests were skipped. It ends with 1 if any failed or was skipped: where everything that tests
// need is installed, a skipped test is a test that nobody runs.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	ok, err := report(os.Stdin, out)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}
