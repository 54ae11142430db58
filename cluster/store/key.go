package store

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// The row families. An engine key starts with one byte that names its family; within a family rows sort as the user
// keys do, so that a table (or any prefix) is one contiguous range in each of them, but for the two whose order is
// their purpose (expiry by time, index by value).
//
//	01  own        01 …                                              the partition's own rows, see below
//	10  meta       10 key                                            one row a key, any type
//	11  element    11 esc(key) generation subkey                     a field, member, item or segment
//	12  score      12 esc(key) generation score member               a sorted set's order
//	13  tombstone  13 esc(key)                                       a deleted key
//	               13 esc(key) 01 subkey                             a deleted field or member, whatever the generation
//	14  expiry     14 time key                                       keys that have an expiry, soonest first
//	15  index      15 esc(table) esc(name) value key                 secondary index
//	16  clean-up   16 01 esc(key) generation                         a dead generation's elements wait to be removed
//	               16 02 position mutation                           a range delete left expiry rows behind
//
//	own rows:
//	01 01                    state: applied position, clocks, chain, counts, ConfState
//	01 02                    identity: cluster, namespace, partition
//	01 03 number             the id of the cluster with this number
//	01 04 index              chain mark
//	01 10 kind id            what events put there: consumers, senders, role, watermark, conflicts (event.OwnKind)
//
// Numbers in keys are big-endian, so that they sort: generation, time, index 8 bytes, cluster number and mutation 4,
// kind 1. Signed ones have the sign bit turned round. The numbers below are on disk: never renumber.
const (
	famOwn       = 0x01
	famMeta      = 0x10
	famElement   = 0x11
	famScore     = 0x12
	famTombstone = 0x13
	famExpiry    = 0x14
	famIndex     = 0x15
	famCleanup   = 0x16

	ownState    = 0x01
	ownIdentity = 0x02
	ownCluster  = 0x03
	ownMark     = 0x04
	ownKind     = 0x10

	tombstoneElement = 0x01

	cleanGeneration = 0x01
	cleanRange      = 0x02
)

// esc(key) is the key with each 00 written as 00 FF, and 00 01 after its end. So escaped keys sort as the keys do, none is
// a prefix of another, and whatever follows sorts within the key.
const (
	escByte = 0x00
	escZero = 0xFF
	escEnd  = 0x01
)

// appendEscaped appends esc(key).
func appendEscaped(dst, key []byte) []byte {
	return append(appendEscapedPrefix(dst, key), escByte, escEnd)
}

// appendEscapedPrefix appends esc(key) without its end: the lower bound of the rows of all keys ≥ key, and what all rows of
// keys that start with key start with.
func appendEscapedPrefix(dst, key []byte) []byte {
	for {
		i := bytes.IndexByte(key, escByte)
		if i < 0 {
			return append(dst, key...)
		}
		dst = append(dst, key[:i]...)
		dst = append(dst, escByte, escZero)
		key = key[i+1:]
	}
}

// cutEscaped takes esc(key) off p, appends the key to dst and returns what follows it.
func cutEscaped(dst, p []byte) (key, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(p, escByte)
		if i < 0 || i+1 >= len(p) {
			return dst, p, false
		}
		dst = append(dst, p[:i]...)
		mark := p[i+1]
		p = p[i+2:]
		switch mark {
		case escEnd:
			return dst, p, true
		case escZero:
			dst = append(dst, escByte)
		default:
			return dst, p, false
		}
	}
}

func appendMetaKey(dst, key []byte) []byte { return append(append(dst, famMeta), key...) }

// appendElementsKey appends what all element rows of one generation of a key start with.
func appendElementsKey(dst []byte, family byte, key []byte, generation uint64) []byte {
	dst = appendEscaped(append(dst, family), key)
	return binary.BigEndian.AppendUint64(dst, generation)
}

// appendElementKey appends the key of an element row. The subkey of a hash is the field, of a set and a sorted set the
// member, of a bitmap the segment's number. That of a list item is its place, bytes that sort as the items stand: what else they mean is the
// evaluation's (cluster/command, list.go), and nothing here looks into them.
func appendElementKey(dst, key []byte, generation uint64, subkey []byte) []byte {
	return append(appendElementsKey(dst, famElement, key, generation), subkey...)
}

// appendScoreKey appends the key of a score row. score isn't NaN.
func appendScoreKey(dst, key []byte, generation uint64, score float64, member []byte) []byte {
	dst = appendElementsKey(dst, famScore, key, generation)
	return append(appendScore(dst, score), member...)
}

func appendTombstoneKey(dst, key []byte) []byte {
	return appendEscaped(append(dst, famTombstone), key)
}

func appendElementTombstoneKey(dst, key, subkey []byte) []byte {
	return append(append(appendTombstoneKey(dst, key), tombstoneElement), subkey...)
}

func appendExpiryKey(dst []byte, expireAt int64, key []byte) []byte {
	return append(appendInt64(append(dst, famExpiry), expireAt), key...)
}

func appendIndexKey(dst, table, name, value, key []byte) []byte {
	dst = appendEscaped(append(dst, famIndex), table)
	dst = appendEscaped(dst, name)
	return append(append(dst, value...), key...)
}

func appendCleanGenerationKey(dst, key []byte, generation uint64) []byte {
	dst = appendEscaped(append(dst, famCleanup, cleanGeneration), key)
	return binary.BigEndian.AppendUint64(dst, generation)
}

func appendCleanRangeKey(dst []byte, index uint64, mutation uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, famCleanup, cleanRange), index)
	return binary.BigEndian.AppendUint32(dst, mutation)
}

func appendClusterKey(dst []byte, n event.ClusterNumber) []byte {
	return binary.BigEndian.AppendUint32(append(dst, famOwn, ownCluster), uint32(n))
}

func appendMarkKey(dst []byte, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, famOwn, ownMark), index)
}

func appendOwnKey(dst []byte, kind event.OwnKind, id []byte) []byte {
	return append(append(dst, famOwn, ownKind, byte(kind)), id...)
}

// appendScore appends a score in 8 bytes that sort as the numbers do: the bits of the IEEE 754 double, big-endian, with
// the sign bit turned round for positive numbers and all bits for negative ones. -0 is written as 0. NaN has no place
// in the order and is the caller's to refuse.
func appendScore(dst []byte, score float64) []byte {
	if score == 0 {
		score = 0
	}
	bits := math.Float64bits(score)
	if bits>>63 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

func readScore(p []byte) float64 {
	bits := binary.BigEndian.Uint64(p)
	if bits>>63 != 0 {
		bits &^= 1 << 63
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits)
}

// appendInt64 appends a signed number in 8 bytes that sort as the numbers do.
func appendInt64(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

func readInt64(p []byte) int64 { return int64(binary.BigEndian.Uint64(p) ^ 1<<63) }

// segmentSize is the size of the subkey of a bitmap segment: its number, from 0, big-endian.
const segmentSize = 4

// Values of a secondary index: a kind, then bytes that sort as the values do.
const (
	indexInt   = 0x01 // 8 bytes
	indexBytes = 0x02 // escaped
)

func appendIndexInt(dst []byte, n int64) []byte { return appendInt64(append(dst, indexInt), n) }

func appendIndexBytes(dst, value []byte) []byte {
	return appendEscaped(append(dst, indexBytes), value)
}

// prefixEnd appends the smallest key above all keys that start with p. p isn't empty and its first byte isn't FF, as every
// family byte.
func prefixEnd(dst, p []byte) []byte {
	n := len(p)
	for n > 0 && p[n-1] == 0xFF {
		n--
	}
	at := len(dst)
	dst = append(dst, p[:n]...)
	dst[at+n-1]++
	return dst
}
