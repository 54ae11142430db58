package event

import (
	"math"
	"strconv"
)

// appendElements appends what an op on elements writes or removes:
//
//	hset              "fields":{field:value, …}
//	hdel              "fields":[field, …]
//	sadd, srem, zrem  "members":[member, …]
//	zadd              "scores":{member:"score", …}: a score is the shortest decimal that reads back to it, "inf", "-inf" or "-0"
//	lpush, rpush      "items":[item, …], in the order in which they were pushed: lpush's last comes to stand first
//	lpop, rpop        "count":n
//	lset, linsert     "indexes":[n, …],"items":[item, …]: an index is a position from the front, from 0; linsert's is that of the item
//	                  once it is in the list, and it has one
//	lrem              "indexes":[n, …], before any of them is gone, growing
//	setbits           "segments":{"n":bytes, …},"length":bytes of the bitmap: bytes are base64 whatever enc says; segment n has the bytes from
//	                  512n on; what it lacks of 512 are zeros, and so are segments that never came; one without bytes is all zeros
//
// Objects name each element once, and prev names the same ones in the same order.
func appendElements(dst []byte, m *Mutation, text func(dst, s []byte) []byte) []byte {
	switch m.Op {
	case OpHSet:
		dst = appendPairs(append(dst, `,"fields":{`...), m, text, func(dst []byte, e *Element) []byte { return text(dst, e.Value) })
	case OpHDel:
		dst = appendList(append(dst, `,"fields":[`...), m, func(dst []byte, e *Element) []byte { return text(dst, e.Sub) })
	case OpSAdd, OpSRem, OpZRem:
		dst = appendList(append(dst, `,"members":[`...), m, func(dst []byte, e *Element) []byte { return text(dst, e.Sub) })
	case OpZAdd:
		dst = appendPairs(append(dst, `,"scores":{`...), m, text, appendQuotedScore)
	case OpLPush, OpRPush:
		dst = appendItems(dst, m, text)
	case OpLPop, OpRPop:
		dst = strconv.AppendUint(append(dst, `,"count":`...), m.popped(), 10)
	case OpLSet, OpLInsert:
		dst = appendItems(appendIndexes(dst, m), m, text)
	case OpLRem:
		dst = appendIndexes(dst, m)
	case OpBits:
		dst = appendPairs(append(dst, `,"segments":{`...), m, nil, func(dst []byte, e *Element) []byte { return appendBase64(dst, e.Value) })
		dst = strconv.AppendUint(append(dst, `,"length":`...), m.Count, 10)
	}
	return dst
}

// appendPairs appends the members of an object and its end. A nil text is for segments.
func appendPairs(dst []byte, m *Mutation, text func(dst, s []byte) []byte, value func(dst []byte, e *Element) []byte) []byte {
	for i := range m.Elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendName(dst, &m.Elements[i], text), ':')
		dst = value(dst, &m.Elements[i])
	}
	return append(dst, '}')
}

func appendName(dst []byte, e *Element, text func(dst, s []byte) []byte) []byte {
	if text != nil {
		return text(dst, e.Sub)
	}
	dst = strconv.AppendUint(append(dst, '"'), uint64(segmentNumber(e.Sub)), 10)
	return append(dst, '"')
}

// appendList appends the elements of an array and its end.
func appendList(dst []byte, m *Mutation, value func(dst []byte, e *Element) []byte) []byte {
	for i := range m.Elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = value(dst, &m.Elements[i])
	}
	return append(dst, ']')
}

func appendItems(dst []byte, m *Mutation, text func(dst, s []byte) []byte) []byte {
	return appendList(append(dst, `,"items":[`...), m, func(dst []byte, e *Element) []byte { return text(dst, e.Value) })
}

func appendIndexes(dst []byte, m *Mutation) []byte {
	return appendList(append(dst, `,"indexes":[`...), m, func(dst []byte, e *Element) []byte { return strconv.AppendInt(dst, e.Index, 10) })
}

// appendPrevs appends the version before of each element.
func appendPrevs(dst []byte, m *Mutation, names Names) []byte {
	text := appendString[[]byte]
	switch {
	case m.Op == OpBits:
		text = nil
	case m.encoded():
		text = appendBase64
	}
	return appendPairs(append(dst, '{'), m, text, func(dst []byte, e *Element) []byte { return appendVersion(dst, e.Prev, names) })
}

func appendQuotedScore(dst []byte, e *Element) []byte {
	return append(appendScore(append(dst, '"'), e.Score), '"')
}

// appendScore appends the shortest decimal that reads back to the same score, the sign of -0 included. There is one such form of each, and the parser
// takes no other.
func appendScore(dst []byte, score float64) []byte {
	size := math.Abs(score)
	switch {
	case math.IsInf(score, 1):
		return append(dst, "inf"...)
	case math.IsInf(score, -1):
		return append(dst, "-inf"...)
	case size != 0 && (size < 1e-6 || size >= 1e21):
		return strconv.AppendFloat(dst, score, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, score, 'f', -1, 64)
}
