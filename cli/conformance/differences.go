package conformance

import "strings"

// Difference is a command line whose reply differs from Redis's on purpose.
type Difference struct {
	Setup  []string // sent before, replies ignored
	Line   string
	Ours   string // what the reply begins with
	Redis  string // what Redis's begins with
	Reason string
}

// stringDifferences are those of strings and of the limits that all commands share.
var stringDifferences = []Difference{
	{Line: `exists "k"*10241`, Ours: "-ERR invalid key size", Redis: ":0",
		Reason: "keys are limited to 10240 bytes"},
	{Line: `set k "v"*8388609`, Ours: "-ERR invalid value size", Redis: "+OK",
		Reason: "values are limited to 8 MiB"},
	{Line: `setrange k 8388608 x`, Ours: "-ERR string exceeds maximum allowed size (proto-max-bulk-len)", Redis: ":8388609",
		Reason: "Redis's own limit is 512 MB; the words are the same"},
	{Setup: []string{`set k "v"*8388608`}, Line: `append k x`, Ours: "-ERR string exceeds maximum allowed size (proto-max-bulk-len)", Redis: ":8388609",
		Reason: "Redis's own limit is 512 MB; the words are the same"},
	{Line: `exists` + strings.Repeat(" k", 5001), Ours: "-ERR the batch size exceed the limit", Redis: ":0",
		Reason: "a command takes at most 5000 keys"},
	{Line: `mset` + strings.Repeat(" k v", 5001), Ours: "-ERR the batch size exceed the limit", Redis: "+OK",
		Reason: "a command takes at most 5000 keys"},
	{Line: `setifeq k "" v`, Ours: ":1", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Line: `plset a v b w a x`, Ours: "*3\r\n+OK\r\n+OK\r\n+OK\r\n", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Setup: []string{`set k v`}, Line: `delifeq k v`, Ours: ":1", Redis: "-ERR unknown command", Reason: "a command of ZanKV's own"},
	{Setup: []string{`set k v`}, Line: `stale.get k`, Ours: "$1", Redis: "-ERR unknown command", Reason: "a prefix of ZanKV's own"},
	{Setup: []string{`set k v pxat 1`, `get k`}, Line: `dbsize`, Ours: ":1", Redis: ":0",
		Reason: "Redis removes an expired key when it comes across it; here the removal is an event, which the leader proposes once a second. Until then DBSIZE counts it, as Redis does until it comes across it"},
	{Line: `scan "0\x00"`, Ours: "-ERR invalid cursor", Redis: "*2", Reason: "Redis reads it as a C string"},
}

var stringNewer = []string{"client|no-touch", "client|setinfo", "setifeq", "delifeq", "plset", "getnolock", "stale.getversion", "stale.getexpired"}
