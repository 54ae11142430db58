// Package options reads what commands' options say, and asks where one is missing that confirms.
package options

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/term"
)

// List takes lists apart at commas; a pattern keeps those behind a backslash.
func List(values []string, patterns bool) []string {
	var all []string
	for _, v := range values {
		from := 0
		for i := 0; i <= len(v); i++ {
			switch {
			case i == len(v) || v[i] == ',':
				if part := strings.TrimSpace(v[from:i]); part != "" {
					all = append(all, part)
				}
				from = i + 1
			case patterns && v[i] == '\\' && i+1 < len(v):
				i++
			}
		}
	}
	return all
}

// Confirm asks whoever sits at the terminal; without one it wants --no-confirm.
func Confirm(c *cli.Context, question string) error {
	if c.Bool("no-confirm") {
		return nil
	}
	if !term.Is(c.App.Reader) || !term.Is(c.App.ErrWriter) {
		return failure.New(failure.Unconfirmed, "add --no-confirm if that is what you want", "%s: nobody can be asked here: %s", c.Command.Name, question)
	}
	yes, err := term.Confirm(c.App.Reader, c.App.ErrWriter, question)
	if err == nil && !yes {
		err = failure.New(failure.Unconfirmed, "", "%s: nothing was done", c.Command.Name)
	}
	return err
}
