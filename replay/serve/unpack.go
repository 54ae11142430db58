package serve

import (
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/zankv/zankv/replay/problem"
)

// maxWindow bounds the memory of zstd's window, of which there is one for each call that unpacks.
const maxWindow = 8 << 20

// unpacker unpacks zstd into memory of a size that is known before. It is made when the first packed range comes.
type unpacker struct {
	once    sync.Once
	decoder *zstd.Decoder
	err     error
}

func (u *unpacker) open() {
	u.decoder, u.err = zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderConcurrency(min(runtime.GOMAXPROCS(0), 4)), zstd.WithDecoderLowmem(true))
}

// unpack gives exactly size bytes. What unpacks to more ends there, whatever it would become.
func (u *unpacker) unpack(packed []byte, size int) ([]byte, error) {
	u.once.Do(u.open)
	if u.err != nil {
		return nil, u.err
	}
	plain, err := u.decoder.DecodeAll(packed, make([]byte, 0, size))
	if err != nil {
		return nil, problem.New(problem.Invalid, "replay: %d bytes of zstd don't unpack to %d: %v", len(packed), size, err)
	}
	if len(plain) != size {
		return nil, malformed("unpacked it has %d bytes, and the header says %d", len(plain), size)
	}
	return plain, nil
}
