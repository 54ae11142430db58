package event

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Append appends the logged form of ev to dst and returns it. It allocates only to grow dst, and keeps nothing of ev. Command
// and cluster ids must be UTF-8.
func Append(dst []byte, ev *Event) []byte {
	dst = append(dst, Format)
	dst = putFixed(dst, tagTime, ev.Time)
	dst = putVarint(dst, tagWall, uint64(ev.Wall))
	dst = putVarint(dst, tagTerm, ev.Term)
	for i := range ev.Clusters {
		dst = appendClusterName(dst, &ev.Clusters[i])
	}
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		local := ev.Time + int64(i)
		marks := marksOf(m, local)
		dst = append(dst, byte(tagMutation))
		if len(m.Elements) == 0 && marks&(markAge|markKeyVersion) == 0 && m.KeyVersion.IsZero() {
			dst = protowire.AppendVarint(dst, uint64(sizeMutation(m, marks)))
			dst = appendMutation(dst, m, marks)
			continue
		}
		dst = protowire.AppendVarint(dst, uint64(sizeMutation(m, marks)+sizeCollection(m, marks, local)))
		dst = appendCollection(appendMutation(dst, m, marks), m, marks, local)
	}
	for i := range ev.Own {
		dst = appendOwn(dst, &ev.Own[i])
	}
	return dst
}

func appendClusterName(dst []byte, c *ClusterName) []byte {
	dst = append(dst, byte(tagClusters))
	dst = protowire.AppendVarint(dst, uint64(sizeVarint(1, uint64(c.Number))+sizeBytes(1, len(c.ID))))
	dst = putVarint(dst, tagNameNumber, uint64(c.Number))
	return putString(dst, tagNameID, c.ID)
}

func appendOwn(dst []byte, o *OwnChange) []byte {
	dst = append(dst, byte(tagOwn))
	dst = protowire.AppendVarint(dst, uint64(sizeVarint(1, uint64(o.Kind))+sizeBytes(1, len(o.ID))+sizeBytes(1, len(o.Value))))
	dst = putVarint(dst, tagOwnKind, uint64(o.Kind))
	dst = putBytes(dst, tagOwnID, o.ID)
	return putBytes(dst, tagOwnValue, o.Value)
}

// sizeMutation must say exactly what appendMutation appends.
func sizeMutation(m *Mutation, marks uint64) int {
	n := sizeVarint(1, uint64(m.Op)) + sizeVarint(1, uint64(m.Type)) + sizeBytes(1, len(m.Key)) + sizeBytes(1, len(m.Value)) +
		sizeVarint(1, marks) + sizeVarint(1, uint64(m.Version.Cluster)) +
		sizeFixed(1, m.Prev.Time) + sizeVarint(1, uint64(m.Group)) + sizeBytes(1, len(m.Command)) +
		sizeVarint(1, uint64(m.Before.ExpireAt)) + sizeVarint(1, uint64(m.ExpireAt)) +
		sizeVarint(2, m.Count) + sizeBool(2, m.Tombstone) +
		sizeVersion(2, m.Before.Version) + sizeBytes(2, len(m.Before.Value)) + sizeVarint(2, m.Before.Expiring)
	if marks&markVersionTime == 0 {
		n += sizeFixed(1, m.Version.Time)
	}
	if marks&markPrevCluster == 0 {
		n += sizeVarint(1, uint64(m.Prev.Cluster))
	}
	if marks&markBefore == 0 {
		n += sizeBool(1, m.Before.Exists) + sizeVarint(1, uint64(m.Before.Type)) + sizeVarint(2, m.Before.Generation)
	}
	if marks&markAge == 0 {
		n += sizeVarint(2, m.Generation)
	}
	if marks&markFloor == 0 {
		n += sizeVersion(2, m.Floor)
	}
	if marks&markExpiryVersion == 0 {
		n += sizeVersion(2, m.ExpiryVersion)
	}
	if m.Origin != nil {
		body := sizeOrigin(m.Origin)
		n += 2 + protowire.SizeVarint(uint64(body)) + body
	}
	return n
}

func appendMutation(dst []byte, m *Mutation, marks uint64) []byte {
	dst = putVarint(dst, tagOp, uint64(m.Op))
	dst = putVarint(dst, tagType, uint64(m.Type))
	dst = putBytes(dst, tagKey, m.Key)
	dst = putBytes(dst, tagValue, m.Value)
	dst = putVarint(dst, tagMarks, marks)
	dst = putVarint(dst, tagVersionCluster, uint64(m.Version.Cluster))
	if marks&markVersionTime == 0 {
		dst = putFixed(dst, tagVersionTime, m.Version.Time)
	}
	if marks&markPrevCluster == 0 {
		dst = putVarint(dst, tagPrevCluster, uint64(m.Prev.Cluster))
	}
	dst = putFixed(dst, tagPrevTime, m.Prev.Time)
	dst = putVarint(dst, tagGroup, uint64(m.Group))
	dst = putString(dst, tagCommand, m.Command)
	if marks&markBefore == 0 {
		dst = putBool(dst, tagBeforeExists, m.Before.Exists)
		dst = putVarint(dst, tagBeforeType, uint64(m.Before.Type))
	}
	dst = putVarint(dst, tagBeforeExpireAt, uint64(m.Before.ExpireAt))
	dst = putVarint(dst, tagExpireAt, uint64(m.ExpireAt))
	if marks&markFloor == 0 {
		dst = putVarint(dst, tagFloorCluster, uint64(m.Floor.Cluster))
		dst = putFixed(dst, tagFloorTime, m.Floor.Time)
	}
	if marks&markExpiryVersion == 0 {
		dst = putVarint(dst, tagExpiryCluster, uint64(m.ExpiryVersion.Cluster))
		dst = putFixed(dst, tagExpiryTime, m.ExpiryVersion.Time)
	}
	if marks&markAge == 0 {
		dst = putVarint(dst, tagGeneration, m.Generation)
	}
	dst = putVarint(dst, tagCount, m.Count)
	dst = putBool(dst, tagTombstone, m.Tombstone)
	if marks&markBefore == 0 {
		dst = putVarint(dst, tagBeforeGeneration, m.Before.Generation)
	}
	if m.Origin != nil {
		dst = appendOrigin(dst, m.Origin)
	}
	dst = putVarint(dst, tagBeforeCluster, uint64(m.Before.Version.Cluster))
	dst = putFixed(dst, tagBeforeTime, m.Before.Version.Time)
	dst = putBytes(dst, tagBeforeValue, m.Before.Value)
	return putVarint(dst, tagBeforeExpiring, m.Before.Expiring)
}

func sizeOrigin(o *Origin) int {
	return sizeVarint(1, uint64(o.Cluster)) + sizeVarint(1, uint64(o.Partition)) +
		sizeVarint(1, o.Position.Term) + sizeVarint(1, o.Position.Index)
}

func appendOrigin(dst []byte, o *Origin) []byte {
	dst = protowire.AppendVarint(dst, tagOrigin)
	dst = protowire.AppendVarint(dst, uint64(sizeOrigin(o)))
	dst = putVarint(dst, tagOriginCluster, uint64(o.Cluster))
	dst = putVarint(dst, tagOriginPartition, uint64(o.Partition))
	dst = putVarint(dst, tagOriginTerm, o.Position.Term)
	return putVarint(dst, tagOriginIndex, o.Position.Index)
}

// As in proto3, a field that holds its zero value isn't written.

func putTag(dst []byte, tag uint64) []byte {
	if tag < 0x80 {
		return append(dst, byte(tag))
	}
	return append(dst, byte(tag)|0x80, byte(tag>>7))
}

func putVarint(dst []byte, tag, v uint64) []byte {
	if v == 0 {
		return dst
	}
	dst = putTag(dst, tag)
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return protowire.AppendVarint(dst, v)
}

func putBool(dst []byte, tag uint64, v bool) []byte {
	if !v {
		return dst
	}
	return append(putTag(dst, tag), 1)
}

func putFixed(dst []byte, tag uint64, v int64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(putTag(dst, tag), uint64(v))
}

func putBytes(dst []byte, tag uint64, v []byte) []byte {
	if len(v) == 0 {
		return dst
	}
	return append(protowire.AppendVarint(putTag(dst, tag), uint64(len(v))), v...)
}

func putString(dst []byte, tag uint64, v string) []byte {
	if v == "" {
		return dst
	}
	return append(protowire.AppendVarint(putTag(dst, tag), uint64(len(v))), v...)
}

func sizeVarint(tag int, v uint64) int {
	if v == 0 {
		return 0
	}
	return tag + protowire.SizeVarint(v)
}

func sizeBool(tag int, v bool) int {
	if !v {
		return 0
	}
	return tag + 1
}

func sizeFixed(tag int, v int64) int {
	if v == 0 {
		return 0
	}
	return tag + 8
}

func sizeVersion(tag int, v Version) int {
	return sizeVarint(tag, uint64(v.Cluster)) + sizeFixed(tag, v.Time)
}

func sizeBytes(tag, length int) int {
	if length == 0 {
		return 0
	}
	return tag + protowire.SizeVarint(uint64(length)) + length
}
