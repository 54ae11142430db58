// Package e2e holds tests of whole clusters from the outside: the commands as they are shipped, real processes, real sockets,
// real clients. It has no code of its own but its tests, one file for each side that a user meets:
//
//	local_test.go      zankv local: starts, stops, comes back
//	clients_test.go    go-redis and redis-cli as they are, and Redis itself as the oracle; the other clients_ files run
//	                   go-redis, redis-py, ioredis, Jedis and Redis's own tools on a suite of all types
//	routes_test.go     which port answers what, on which node
//	feed_test.go       zankv-cdc tail
//	changefeed_test.go into Kafka and into files: all types, odd content, large values; changefeed_life_test.go is an operator's
//	                   day, changefeed_resume_test.go begins at every position, changefeed_place_test.go loses its place
//	consumer_test.go   the example consumer of a changefeed's topic
//	doctor_test.go     faults, and what zankv-cdc doctor calls them
//	http_test.go       the HTTP API
//	input_test.go      what no client should send
//	expiry_test.go     keys that end by themselves
//	namespace_test.go  zankv namespace create, and what its settings change
//	flush_test.go      FLUSHDB under load
//	disk_test.go       a full disk, a failing fsync; baddisk_test.go makes them
//	behind_test.go     a replica that the others' logs have left behind
//
// Tests that harm nobody share one cluster, each with a namespace of its own; those that kill have their own cluster. What a
// process wrote last is part of each failure's message.
package e2e
