package amend

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Command is a Redis command.
type Command struct {
	words [][]byte
	// payload is the number of the word that is a serialised value; 0: none is.
	payload int
}

func commandOf(name string, words ...any) *Command {
	c := &Command{words: [][]byte{[]byte(name)}}
	for _, w := range words {
		switch w := w.(type) {
		case []byte:
			c.words = append(c.words, w)
		case string:
			c.words = append(c.words, []byte(w))
		}
	}
	return c
}

func restore(key, payload []byte, expireAt int64) *Command {
	c := commandOf("RESTORE", key, decimal(expireAt), payload, "REPLACE", "ABSTTL")
	c.payload = 3
	return c
}

func (c *Command) args() []any {
	all := make([]any, len(c.words))
	for i, w := range c.words {
		all[i] = w
	}
	return all
}

// Words are the command's words for people and JSON: what isn't text is base64 behind "base64:", and of a serialised value only its length is shown.
func (c *Command) Words() []string {
	all := make([]string, len(c.words))
	for i, w := range c.words {
		switch {
		case c.payload > 0 && i == c.payload:
			all[i] = fmt.Sprintf("<%d bytes of DUMP>", len(w))
		case utf8.Valid(w):
			all[i] = string(w)
		default:
			all[i] = "base64:" + base64.StdEncoding.EncodeToString(w)
		}
	}
	return all
}

// String is the command as it could be typed into redis-cli, but for a serialised value.
func (c *Command) String() string {
	words := c.Words()
	for i, w := range words {
		if i != c.payload && (w == "" || strings.ContainsAny(w, " \"'\\") || strconv.Quote(w) != `"`+w+`"`) {
			words[i] = strconv.Quote(w)
		}
	}
	return strings.Join(words, " ")
}
