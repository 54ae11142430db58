package resp

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/zankv/zankv/cluster/command"
)

// Error texts of the protocol. Those of Redis are Redis 7.2's; those that begin with ERR_CLUSTER_CHANGED, and those that end in
// "ERR handle command", are the ones that ZanKV's SDKs look for.
const (
	crossSlot      = "CROSSSLOT Keys in request don't hash to the same slot"
	clusterDown    = "CLUSTERDOWN Hash slot not served"
	noClusterMode  = "ERR This instance has cluster support disabled"
	noAuth         = "NOAUTH Authentication required."
	wrongPass      = "WRONGPASS invalid username-password pair or user is disabled."
	noPasswordSet  = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	noLeader       = "ERR_CLUSTER_CHANGED: partition of the node has no leader"
	noNamespace    = "ERR_CLUSTER_CHANGED: namespace is not found"
	notFound       = "ERR_CLUSTER_CHANGED: partition of the namespace is not found"
	notLeader      = "ERR_CLUSTER_CHANGED: partition of the namespace is not leader on the node"
	badKey         = "invalid redis key"
	badArguments   = "invalid arguments"
	badTable       = "invalid table name"
	unboundCommand = "ERR the connection is bound to no namespace: use AUTH <namespace> <password>, or the namespace's own port"
	// unknownOutcome must not look like an error that a client retries.
	unknownOutcome = "UNKNOWN the outcome of the write is not known: it may or may not take effect"
)

// syncerOnly is the partition's whole reply to a write that only the syncer may make. The client is told which command, too.
const syncerOnly = "-" + command.ErrSyncerOnly + "\r\n"

// maxTable is the longest table name in bytes.
const maxTable = 254

// handling gives an error ZanKV's ending: which command, and which key.
func handling(text string, name, key []byte) string {
	text += " : ERR handle command " + string(name)
	if key != nil {
		text += ", " + string(key)
	}
	return text
}

// notHere says that this node can't run the call, and mustn't forward it.
func notHere(k *call, replica bool) string {
	key := firstKey(k)
	switch {
	case !replica:
		return handling(notFound, k.Args[0], key)
	case k.isWrite():
		return noLeader
	}
	return handling(notLeader+" : Err handle command "+string(k.Args[0]), k.Args[0], key)
}

// firstKey is the key as the client sent it.
func firstKey(k *call) []byte {
	at := k.Spec.KeyPositions(nil, k.Args)
	if len(at) == 0 {
		return nil
	}
	key := k.Args[slices.Min(at)]
	if !k.prefixed {
		return key
	}
	return append([]byte(k.ns.Name+":"), key...)
}

// moved sends a cluster client to the leader's cluster port.
func moved(k *call, leader Node) string {
	slot, _ := slotRange(k.ns, k.partition)
	if at := k.Spec.KeyPositions(nil, k.Args); len(at) > 0 {
		slot = keySlot(k.Args[slices.Min(at)])
	}
	return movedTo(slot, leader)
}

func movedTo(slot int, leader Node) string {
	return "MOVED " + strconv.Itoa(slot) + " " + net.JoinHostPort(leader.Host, strconv.Itoa(leader.ClusterPort))
}

func wrongArity(name string) string {
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
}

// wrongSubcommand is what a subcommand gets that has more arguments than any of its forms.
func wrongSubcommand(args [][]byte) string {
	return fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", args[1], bytes.ToUpper(args[0]))
}
