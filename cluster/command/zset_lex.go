package command

import "bytes"

// lexBound is one end of a range of texts. infinite is -1 for what is before every text, +1 for what is behind.
type lexBound struct {
	text      []byte
	infinite  int
	exclusive bool
}

// lexBounds are the ends of a range of texts.
type lexBounds struct {
	min, max lexBound
}

func parseLexBounds(low, high []byte) (b lexBounds, ok bool) {
	if b.min, ok = parseLexBound(low); ok {
		b.max, ok = parseLexBound(high)
	}
	return b, ok
}

func parseLexBound(b []byte) (lexBound, bool) {
	switch {
	case len(b) == 0:
		return lexBound{}, false
	case b[0] == '[':
		return lexBound{text: b[1:]}, true
	case b[0] == '(':
		return lexBound{text: b[1:], exclusive: true}, true
	case string(b) == "-":
		return lexBound{infinite: -1}, true
	case string(b) == "+":
		return lexBound{infinite: 1}, true
	}
	return lexBound{}, false
}

// below says whether a member lies before the lower end b, above whether it lies behind the upper end b.
func (b *lexBound) below(member []byte) bool {
	if b.infinite != 0 {
		return b.infinite > 0
	}
	order := bytes.Compare(member, b.text)
	return order < 0 || order == 0 && b.exclusive
}

func (b *lexBound) above(member []byte) bool {
	if b.infinite != 0 {
		return b.infinite < 0
	}
	order := bytes.Compare(member, b.text)
	return order > 0 || order == 0 && b.exclusive
}

// empty says that no text is between the ends.
func (b *lexBounds) empty() bool {
	if b.min.infinite > 0 || b.max.infinite < 0 {
		return true
	}
	if b.min.infinite < 0 || b.max.infinite > 0 {
		return false
	}
	order := bytes.Compare(b.min.text, b.max.text)
	return order > 0 || order == 0 && (b.min.exclusive || b.max.exclusive)
}

// lexRun gives the members in the bounds. Where all have the same score, which is what the commands by text are for, the bounds are places
// in the order. Where they don't, the result is the run that a walk from the end where reading begins finds first, as in Redis's small sets.
func (c *Context) lexRun(key []byte, r *row, b *lexBounds, reverse bool) (zrun, error) {
	first, err := c.zsetAt(key, r, ScoreRange{})
	if err != nil || first == nil {
		return emptyRun, err
	}
	last, err := c.zsetAt(key, r, ScoreRange{Reverse: true})
	if err != nil || last == nil || b.empty() || b.min.below(last.Member) || b.max.above(first.Member) {
		return emptyRun, err
	}
	if first.Score != last.Score {
		return c.mixedLexRun(key, r, b, reverse)
	}
	run := zrun{limit: -1}
	if b.min.infinite == 0 {
		run.in.From = b.min.place(first.Score, b.min.exclusive)
	}
	if b.max.infinite == 0 {
		run.in.To = b.max.place(first.Score, !b.max.exclusive)
	}
	return run, nil
}

// place is the bound as a place among members of one score, or the one just behind it.
func (b *lexBound) place(score float64, behind bool) *ScoreKey {
	at := &ScoreKey{Score: score, Member: b.text}
	if behind {
		return after(at)
	}
	return at
}

// mixedLexRun walks over all members.
func (c *Context) mixedLexRun(key []byte, r *row, b *lexBounds, reverse bool) (zrun, error) {
	outside, ended := b.min.below, b.max.above
	if reverse {
		outside, ended = ended, outside
	}
	run := zrun{limit: -1, in: ScoreRange{Reverse: reverse}}
	found := false
	err := c.View.Scores(key, &r.Meta, run.in, func(score float64, member []byte) bool {
		begins := !found && !outside(member)
		if !begins && !found {
			return true
		}
		ends := ended(member)
		if begins || ends {
			at := &ScoreKey{Score: score, Member: bytes.Clone(member)}
			if begins {
				found = !ends
				run.begin(at)
			} else {
				run.end(at)
			}
		}
		return !ends
	})
	if err != nil || !found {
		return emptyRun, err
	}
	return run, nil
}

// end lets the run end before a member, in its direction.
func (z *zrun) end(at *ScoreKey) {
	if z.in.Reverse {
		z.in.From = after(at)
		return
	}
	z.in.To = at
}
