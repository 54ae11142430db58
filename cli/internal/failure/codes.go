// Package failure says in stable codes what a command fails with, for scripts: each has an exit code, and what to do about it.
package failure

import (
	"fmt"
	"slices"
	"strings"
)

// Code names a kind of failure. It is stable.
type Code string

const (
	Error        Code = "error"
	Violation    Code = "violation"
	Unhealthy    Code = "unhealthy"
	Mismatch     Code = "mismatch"
	Ahead        Code = "ahead"
	Usage        Code = "usage"
	Invalid      Code = "invalid"
	Unconfirmed  Code = "unconfirmed"
	Compacted    Code = "compacted"
	NotFound     Code = "not-found"
	Unavailable  Code = "unavailable"
	Exists       Code = "exists"
	Conflict     Code = "conflict"
	NotSupported Code = "not-supported"
	Refused      Code = "refused"
)

// Exit codes.
const (
	ExitError       = 1
	ExitUsage       = 2
	ExitCompacted   = 3
	ExitRefused     = 3
	ExitNotFound    = 4
	ExitUnavailable = 5
	ExitConflict    = 6
)

// Row is one line of the table of codes.
type Row struct {
	Code    Code
	Exit    int
	Meaning string
}

// Table has all codes, by exit code.
var Table = []Row{
	{Error, ExitError, "something failed; the message says what"},
	{Violation, ExitError, "the stream isn't what it should be: missing, repeated, reordered or altered"},
	{Unhealthy, ExitError, "doctor found something"},
	{Mismatch, ExitError, "the position isn't of this partition's history"},
	{Ahead, ExitError, "the position is beyond what is applied"},
	{NotSupported, ExitError, "the node doesn't know the request: it is of an older version"},
	{Usage, ExitUsage, "a mistake in the command line"},
	{Invalid, ExitUsage, "the definition can't be run: the sink's address, a filter, a place"},
	{Unconfirmed, ExitUsage, "it has to be confirmed, by --no-confirm where nobody can be asked"},
	{Compacted, ExitCompacted, "the position was compacted away on every replica"},
	{Refused, ExitRefused, "zankv-repair won't: it isn't safe as things are"},
	{NotFound, ExitNotFound, "there is no such changefeed, namespace, partition or consumer"},
	{Unavailable, ExitUnavailable, "no node, replica, registry or broker answered: worth a retry"},
	{Exists, ExitConflict, "there is one of that id already"},
	{Conflict, ExitConflict, "it doesn't fit its present state: not paused, owned, or changed meanwhile"},
}

// Exit is a code's exit code.
func (c Code) Exit() int {
	i := slices.IndexFunc(Table, func(r Row) bool { return r.Code == c })
	if i < 0 {
		return ExitError
	}
	return Table[i].Exit
}

// Codes is the table as help texts show it, each line behind indent.
func Codes(indent string) string {
	var b strings.Builder
	for _, r := range Table {
		fmt.Fprintf(&b, "%s%d  %-13s  %s\n", indent, r.Exit, r.Code, r.Meaning)
	}
	return b.String()
}
