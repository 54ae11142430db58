// Package rdb reads and writes one value in Redis's serialised form, as DUMP replies it and RESTORE takes it, so that data moves from
// and to Redis with the usual tools.
//
// # Format
//
// A payload is
//
//	1 byte   type of the value and of its encoding (the constants below)
//	         the value, see decode.go and packed.go
//	2 bytes  RDB version, little-endian
//	8 bytes  CRC-64 (Jones' polynomial, reflected, starting at 0) of all before it, little-endian
//
// Source: Redis 7.2, cluster.c (createDumpPayload, verifyDumpPayload), rdb.c, ziplist.c, listpack.c, intset.c, zipmap.c, lzf_d.c.
//
// What is read are the values of strings, hashes, lists, sets and sorted sets in every encoding from RDB version 1 to 11. What is
// written are the plain encodings of version 9, which Redis 5 and later take; it makes of them what suits its own settings.
//
// # Invariants
//
//  1. Decode takes untrusted bytes: it never panics, allocates in proportion to the payload and to the limit that it is given, and
//     returns a value only if the payload is whole, its checksum right and its content possible (no repeated field or member, no
//     empty collection, no score that isn't a number).
//  2. Decode of what Append wrote gives the same value.
//
// A library wasn't taken: those there are read whole files, trust their lengths, or write version 6 alone.
//
// Everything is pure and may be called from any goroutine.
package rdb

import "hash/crc64"

// Types of values, as RDB files have them. The numbers are Redis's.
const (
	typeString       = 0
	typeList         = 1
	typeSet          = 2
	typeZSetText     = 3
	typeHash         = 4
	typeZSet         = 5
	typeHashZipmap   = 9
	typeListZiplist  = 10
	typeSetIntset    = 11
	typeZSetZiplist  = 12
	typeHashZiplist  = 13
	typeListQuick    = 14
	typeHashListpack = 16
	typeZSetListpack = 17
	typeListQuick2   = 18
	typeSetListpack  = 20
)

const (
	// Version is the RDB version that payloads are written with, maxVersion the latest that is read.
	Version    = 9
	maxVersion = 11
	footer     = 10
)

var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is CRC-64 without the inversions that Go's package has at both ends.
func checksum(p []byte) uint64 { return ^crc64.Update(^uint64(0), jones, p) }
