package event

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// sizeCollection must say exactly what appendCollection appends.
func sizeCollection(m *Mutation, marks uint64, local int64) int {
	n := 0
	for i := range m.Elements {
		body := sizeElement(m, &m.Elements[i])
		n += 2 + protowire.SizeVarint(uint64(body)) + body
	}
	if marks&markKeyVersion == 0 {
		n += sizeVersion(2, m.KeyVersion)
	}
	if marks&markAge != 0 {
		n += sizeVarint(2, uint64(local)-m.Generation)
	}
	return n
}

// appendCollection appends the fields of a mutation of a collection that come after those which every mutation may have.
func appendCollection(dst []byte, m *Mutation, marks uint64, local int64) []byte {
	for i := range m.Elements {
		dst = appendElement(dst, m, &m.Elements[i])
	}
	if marks&markKeyVersion == 0 {
		dst = putVarint(dst, tagKeyCluster, uint64(m.KeyVersion.Cluster))
		dst = putFixed(dst, tagKeyTime, m.KeyVersion.Time)
	}
	if marks&markAge != 0 {
		dst = putVarint(dst, tagGenerationAge, uint64(local)-m.Generation)
	}
	return dst
}

func sizeElement(m *Mutation, e *Element) int {
	marks := elementMarks(m, e)
	n := sizeBytes(1, len(e.Sub)) + sizeBytes(1, len(e.Value)) + sizeFixed(1, bits(e.Score)) + sizeVarint(1, uint64(e.Index)) +
		sizeVarint(1, marks) + sizeFixed(1, bits(e.Was))
	if marks&(markKeyPrev|markElementCluster) == 0 {
		n += sizeVarint(1, uint64(e.Prev.Cluster))
	}
	if marks&markKeyPrev == 0 {
		n += sizeFixed(1, e.Prev.Time)
	}
	return n
}

func appendElement(dst []byte, m *Mutation, e *Element) []byte {
	dst = putTag(dst, tagElement)
	dst = protowire.AppendVarint(dst, uint64(sizeElement(m, e)))
	dst = putBytes(dst, tagSub, e.Sub)
	dst = putBytes(dst, tagElementValue, e.Value)
	dst = putFixed(dst, tagScore, bits(e.Score))
	dst = putVarint(dst, tagIndex, uint64(e.Index))
	marks := elementMarks(m, e)
	dst = putVarint(dst, tagElementMarks, marks)
	if marks&(markKeyPrev|markElementCluster) == 0 {
		dst = putVarint(dst, tagElementCluster, uint64(e.Prev.Cluster))
	}
	if marks&markKeyPrev == 0 {
		dst = putFixed(dst, tagElementTime, e.Prev.Time)
	}
	return putFixed(dst, tagWas, bits(e.Was))
}

// bits are a score's as the logged form has them: no bit is set exactly in 0, which isn't written; -0 is.
func bits(score float64) int64 { return int64(math.Float64bits(score)) }
