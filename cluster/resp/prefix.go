package resp

import "github.com/zankv/zankv/cluster/command"

// repliesKey are the commands whose reply begins with one of their keys, when it isn't null.
var repliesKey = map[string]bool{
	"blpop": true, "brpop": true, "lmpop": true, "blmpop": true, "bzpopmin": true, "bzpopmax": true, "zmpop": true, "bzmpop": true,
}

// withNamespace appends a reply with the namespace in front of the key that it begins with: who sent keys with their namespace gets them so.
func withNamespace(dst, reply []byte, namespace string) []byte {
	head := valueHead(reply)
	if len(reply) <= head || reply[0] != '*' || reply[head] != '$' {
		return append(dst, reply...)
	}
	rest := reply[head:]
	n := valueLen(rest)
	from := valueHead(rest)
	if n < from+2 {
		return append(dst, reply...)
	}
	r := command.Reply{Buf: append(dst, reply[:head]...)}
	r.BulkString(namespace + ":" + string(rest[from:n-2]))
	return append(r.Buf, rest[n:]...)
}
