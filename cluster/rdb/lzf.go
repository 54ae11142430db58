package rdb

// longestRepeat is what three bytes stand for at most.
const longestRepeat = 264

// expand undoes LZF's compression, of which the result is known to have size bytes. The input is a sequence of
//
//	000xxxxx             x+1 bytes follow as they are
//	lllxxxxx yyyyyyyy    l+2 bytes repeat those xy+1 bytes back, l from 1 to 6
//	111xxxxx l yyyyyyyy  l+9 bytes do
//
// Source: liblzf, lzf_d.c.
func expand(in []byte, size int) (out []byte, ok bool) {
	if size > longestRepeat*len(in) {
		return nil, false
	}
	out = make([]byte, 0, size)
	for len(in) > 0 {
		ctrl := int(in[0])
		in = in[1:]
		if ctrl < 1<<5 {
			if ctrl+1 > len(in) || len(out)+ctrl+1 > size {
				return nil, false
			}
			out = append(out, in[:ctrl+1]...)
			in = in[ctrl+1:]
			continue
		}
		length := ctrl>>5 + 2
		if length == 9 && len(in) > 0 {
			length += int(in[0])
			in = in[1:]
		}
		if len(in) == 0 {
			return nil, false
		}
		from := len(out) - (ctrl&0x1F)<<8 - int(in[0]) - 1
		in = in[1:]
		if from < 0 || len(out)+length > size {
			return nil, false
		}
		for i := range length { // may overlap with what it makes
			out = append(out, out[from+i])
		}
	}
	return out, len(out) == size
}
