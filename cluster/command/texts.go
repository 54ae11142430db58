package command

// Error texts. They are part of the protocol: Redis's to the byte where Redis has the case, ZanKV's own words
// behind the code ERR elsewhere.
const (
	ErrSyntax      = "ERR syntax error"
	ErrNotInteger  = "ERR value is not an integer or out of range"
	ErrNotFloat    = "ERR value is not a valid float"
	ErrWrongType   = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrOffset      = "ERR offset is out of range"
	ErrTooLong     = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrOverflow    = "ERR increment or decrement would overflow"
	ErrDecrement   = "ERR decrement would overflow"
	ErrNaN         = "ERR increment would produce NaN or Infinity"
	ErrCursor      = "ERR invalid cursor"
	ErrExpireNX    = "ERR NX and XX, GT or LT options at the same time are not compatible"
	ErrExpireGTLT  = "ERR GT and LT options at the same time are not compatible"
	ErrKeySize     = "ERR invalid key size"
	ErrSubKeySize  = "ERR invalid sub key size"
	ErrValueSize   = "ERR invalid value size"
	ErrBatchSize   = "ERR the batch size exceed the limit"
	ErrNoKey       = "ERR no such key"
	ErrNumKeys     = "ERR numkeys should be greater than 0"
	ErrNotPositive = "ERR value is out of range, must be positive"
	ErrCountRange  = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	ErrSameObject  = "ERR source and destination objects are the same"
	ErrDBIndex     = "ERR DB index is out of range"
	ErrTooLarge    = "ERR the key is larger than one event may be (max_event_bytes); nothing was changed"
	ErrKeysCommand = "ERR Invalid command specified"
	ErrKeysNone    = "ERR The command has no key arguments"
	ErrKeysArity   = "ERR Invalid number of arguments specified for command"
	ErrKeysArgs    = "ERR Invalid arguments specified for command"
	// ErrSyncerOnly is what a partition answers to a client's write while only the syncer may write. The front end adds which command it was.
	ErrSyncerOnly = "The cluster is only allowing syncer write"
)

// arityError is what a command with a wrong number of arguments gets. name is a Spec's.
func arityError(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// expireTimeError is what a time that is out of range gets.
func expireTimeError(name string) string {
	return "ERR invalid expire time in '" + name + "' command"
}

// unsupportedOption is what EXPIRE says about an option that it doesn't know.
func unsupportedOption(option []byte) string {
	return "ERR Unsupported option " + oneLine(cString(option))
}

// unknownSubcommand is what an unknown subcommand of a container gets.
func unknownSubcommand(container, sub []byte) string {
	name := make([]byte, len(container))
	for i, b := range container {
		name[i] = upper(b)
	}
	return oneLine("ERR unknown subcommand '" + cut(cString(sub), 128) + "'. Try " + string(name) + " HELP.")
}

// unknownCommand is what an unknown command gets: its name and the beginning of its arguments.
func unknownCommand(args [][]byte) string {
	list := make([]byte, 0, 192)
	for _, arg := range args[1:] {
		if len(list) >= 128 {
			break
		}
		list = append(list, '\'')
		list = append(list, cut(cString(arg), 128-len(list)+1)...)
		list = append(list, "' "...)
	}
	return oneLine("ERR unknown command '" + cut(cString(args[0]), 128) + "', with args beginning with: " + string(list))
}

// cString is b up to its first zero byte: Redis prints these arguments as C strings.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func cut(s string, n int) string { return s[:min(len(s), max(n, 0))] }

// oneLine keeps what a client sent from breaking the framing of a reply.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c == '\r' || c == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}
