package command_test

import (
	"bytes"
	"testing"
)

// FuzzCommands runs lines of arguments (separated by zero bytes; lines by 0x01) one after the other on one state. Nothing
// may panic; the executor checks that an error comes with no mutation, and each mutation against the state.
func FuzzCommands(f *testing.F) {
	for _, seed := range []string{
		"set\x00k\x00v\x00ex\x0010\x01append\x00k\x00x\x01getex\x00k\x00persist\x01del\x00k",
		"incrbyfloat\x00k\x000x1p-16445\x01incrbyfloat\x00k\x00-1e4932\x01setrange\x00k\x0070\x00x",
		"scan\x000\x00match\x00[^a-\x00count\x001\x01command\x00getkeys\x00mset\x00a\x00b\x01command\x00docs\x00get",
		"expire\x00k\x00-9223372036854775808\x00nx\x01mset\x00a\x00b\x00c\x01flushdb\x00sync\x01randomkey\x01stale.get\x00k\x01set",
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, replicates bool) {
		e := newExecutor(t)
		e.Replicates = replicates
		for _, line := range bytes.Split(input, []byte{1}) {
			args := bytes.Split(line, []byte{0})
			if reply := e.Do(args...); len(reply) == 0 {
				t.Errorf("%q: no reply", args)
			}
		}
	})
}
