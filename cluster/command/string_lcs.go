package command

import (
	"bytes"
)

// Error texts of LCS, Redis's.
const (
	errLCSType   = "ERR The specified keys must contain string values"
	errLCSBoth   = "ERR If you want both the length and indexes, please just use IDX."
	errLCSMemory = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
)

// maxLCSCells bounds the table of LCS: Redis's bound, which there is 512 MB of table. Here it is an eighth of a byte a cell.
const maxLCSCells = 512 << 20 / 4

// lcsOptions are those of LCS.
type lcsOptions struct {
	length, indexes, matchLengths bool
	shortest                      int64 // match to report
}

// lcsMatch is a stretch that both strings have: where it begins in each, and how long it is.
type lcsMatch struct{ a, b, length int }

func runLCS(c *Context) error {
	a, ok, err := c.lcsString(c.Args[1])
	if !ok {
		return err
	}
	a = bytes.Clone(a)
	b, ok, err := c.lcsString(c.Args[2])
	if !ok {
		return err
	}
	o, ok := c.lcsOptions()
	if !ok {
		return nil
	}
	if uint64(len(a)+1)*uint64(len(b)+1) > maxLCSCells {
		c.Reply.Error(errLCSMemory)
		return nil
	}
	if o.length {
		n, _ := lcsTable(a, b, false)
		c.Reply.Int(int64(n))
		return nil
	}
	n, left := lcsTable(a, b, true)
	common, matches := lcsWalk(a, b, n, left)
	if !o.indexes {
		c.Reply.Bulk(common)
		return nil
	}
	return c.replyMatches(matches, n, &o)
}

// lcsString gives a string's value, nothing for an absent key. It is borrowed.
func (c *Context) lcsString(key []byte) (value []byte, ok bool, err error) {
	r, err := c.look(key)
	switch {
	case err != nil || !r.live:
		return nil, err == nil, err
	case !r.isString():
		c.Reply.Error(errLCSType)
		return nil, false, nil
	}
	ok, err = c.loadContent(key, r)
	return r.Value, ok, err
}

func (c *Context) lcsOptions() (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch arg := c.Args[i]; {
		case equalFold(arg, "idx"):
			o.indexes = true
		case equalFold(arg, "len"):
			o.length = true
		case equalFold(arg, "withmatchlen"):
			o.matchLengths = true
		case equalFold(arg, "minmatchlen") && i+1 < len(c.Args):
			i++
			if o.shortest, ok = c.intArg(i); !ok {
				return o, false
			}
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
	}
	if o.indexes && o.length {
		c.Reply.Error(errLCSBoth)
		return o, false
	}
	return o, true
}

// lcsTable computes how long the longest common subsequence is, row by row. If asked to it keeps of each cell a bit that says whether the way
// back to the beginning goes up in a: a row of len(b) cells takes (len(b)+64)/64 words.
func lcsTable(a, b []byte, keep bool) (n int, up []uint64) {
	words := (len(b) + 64) / 64
	if keep {
		up = make([]uint64, words*(len(a)+1))
	}
	row := make([]uint32, len(b)+1)
	for i, x := range a {
		diagonal, left := uint32(0), uint32(0) // of the row above, and of this one
		for j, y := range b {
			above := row[j+1]
			switch {
			case x == y:
				left = diagonal + 1
			case above > left:
				left = above
				if keep {
					up[(i+1)*words+(j+1)/64] |= 1 << ((j + 1) % 64)
				}
			}
			diagonal, row[j+1] = above, left
		}
	}
	return int(row[len(b)]), up
}

// lcsWalk goes back from the ends of both strings: it gives the n bytes in common, and the stretches that they come in, the last first.
func lcsWalk(a, b []byte, n int, up []uint64) (common []byte, matches []lcsMatch) {
	common = make([]byte, n)
	words := (len(b) + 64) / 64
	var m lcsMatch
	emit := func() {
		if m.length > 0 {
			matches = append(matches, m)
		}
		m = lcsMatch{}
	}
	i, j := len(a), len(b)
	for i > 0 && j > 0 {
		switch {
		case a[i-1] == b[j-1]:
			i, j, n = i-1, j-1, n-1
			common[n] = a[i]
			m = lcsMatch{a: i, b: j, length: m.length + 1}
		case up[i*words+j/64]>>(j%64)&1 != 0:
			emit()
			i--
		default:
			emit()
			j--
		}
	}
	emit()
	return common, matches
}

func (c *Context) replyMatches(matches []lcsMatch, n int, o *lcsOptions) error {
	long := 0
	for _, m := range matches {
		if int64(m.length) >= o.shortest {
			long++
		}
	}
	c.Reply.Map(2)
	c.Reply.BulkString("matches")
	c.Reply.Array(long)
	for _, m := range matches {
		if int64(m.length) < o.shortest {
			continue
		}
		if o.matchLengths {
			c.Reply.Array(3)
		} else {
			c.Reply.Array(2)
		}
		for _, from := range [...]int{m.a, m.b} {
			c.Reply.Array(2)
			c.Reply.Int(int64(from))
			c.Reply.Int(int64(from + m.length - 1))
		}
		if o.matchLengths {
			c.Reply.Int(int64(m.length))
		}
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	c.Reply.BulkString("len")
	c.Reply.Int(int64(n))
	return nil
}
