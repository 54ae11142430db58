package conflict

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// ID names a conflict.
type ID [16]byte

// RecordID is the id of the conflict that an outcome is: of the write that came in, whatever it met.
func RecordID(env *Env, m *event.Mutation, o *Outcome) ID {
	b := []byte{byte(o.Register)}
	b = appendString(b, m.Key)
	if o.Register == RegisterElement {
		b = appendString(b, m.Elements[o.Element].Sub)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Version.Time))
	b = appendString(b, []byte(env.Names.ID(m.Version.Cluster)))
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

func appendString(dst, s []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
