package event

import "strconv"

// commands are the names that decoding a mutation doesn't allocate for. A name that isn't here works as well.
var commands = func() map[string]string {
	known := []string{
		"set", "setnx", "setex", "psetex", "setrange", "append", "getset", "getdel", "getex", "mset", "msetnx",
		"incr", "incrby", "decr", "decrby", "incrbyfloat", "setifeq", "delifeq", "msetex",
		"del", "unlink", "delex", "expire", "pexpire", "expireat", "pexpireat", "persist", "flushdb", "flushall",
		"rename", "renamenx", "copy", "move", "restore", "sort", "noopwrite", "exec", "eval", "evalsha", "fcall",
		"setbit", "bitop", "bitfield", "setbitv2", "bitclear", "bexpire", "bpersist", "pfadd", "pfmerge",
		"hset", "hsetnx", "hmset", "hincrby", "hincrbyfloat", "hdel", "hclear", "hmclear", "hexpire", "hpersist",
		"hgetdel", "hsetex", "hpexpire", "hexpireat", "hpexpireat",
		"lpush", "rpush", "lpushx", "rpushx", "lpop", "rpop", "lset", "ltrim", "lrem", "linsert", "lclear", "lmclear",
		"lexpire", "lpersist", "lfixkey", "lmove", "blmove", "blpop", "brpop", "rpoplpush", "brpoplpush", "lmpop", "blmpop",
		"sadd", "srem", "spop", "smove", "sclear", "smclear", "sexpire", "spersist", "sinterstore", "sunionstore", "sdiffstore",
		"zadd", "zincrby", "zrem", "zremrangebyrank", "zremrangebyscore", "zremrangebylex", "zclear", "zmclear", "zfixkey",
		"zexpire", "zpersist", "zpopmin", "zpopmax", "bzpopmin", "bzpopmax", "zmpop", "bzmpop",
		"zrangestore", "zinterstore", "zunionstore", "zdiffstore",
		"geoadd", "georadius", "georadiusbymember", "geosearchstore", "json.set", "json.del", "json.arrappend", "json.arrpop",
		"plset", "xadd",
	}
	m := make(map[string]string, len(known))
	for _, name := range known {
		m[name] = name
	}
	return m
}()

func intern(name []byte) string {
	if s, ok := commands[string(name)]; ok {
		return s
	}
	return string(name)
}

// Names gives each ClusterNumber of a partition its cluster id: id i at index i, "" where there is none. Index 0 stays empty.
type Names []string

// Add takes over the numbers that an event assigns, and returns the table. A number keeps the id it first had.
func (n Names) Add(assigned []ClusterName) Names {
	for _, c := range assigned {
		if c.Number == 0 || c.Number > maxClusters {
			continue
		}
		for len(n) <= int(c.Number) {
			n = append(n, "")
		}
		if n[c.Number] == "" {
			n[c.Number] = c.ID
		}
	}
	return n
}

// maxClusters bounds the table against a damaged number. A partition sees a handful of clusters in its life.
const maxClusters = 1 << 16

// ID is the cluster id of a number. A number that nobody assigned gives "#" and the number: partitions assign a number before, or in,
// the event that first uses it, so that it shows damage.
func (n Names) ID(c ClusterNumber) string {
	if int64(c) < int64(len(n)) && n[c] != "" {
		return n[c]
	}
	return "#" + strconv.FormatUint(uint64(c), 10)
}

// Number finds the number of a cluster id, assigning the next one if it has none.
func (n *Names) Number(id []byte) ClusterNumber {
	for i := 1; i < len(*n); i++ {
		if (*n)[i] == string(id) {
			return ClusterNumber(i)
		}
	}
	if len(*n) == 0 {
		*n = append(*n, "")
	}
	*n = append(*n, string(id))
	return ClusterNumber(len(*n) - 1)
}
