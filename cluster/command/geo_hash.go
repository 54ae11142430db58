package command

import "math"

// place is a point on the earth, in degrees.
type place struct{ longitude, latitude float64 }

// cell is one of a grid of 2^step by 2^step cells: in its number the bits of longitude (the higher) and latitude take turns. The zero cell
// is none. Numbers, ranges and roundings are Redis's (geohash.c), so that scores are the same.
type cell struct {
	number uint64
	step   uint
}

const (
	finestStep   = 26
	maxLongitude = 180
	// maxLatitude is where a Mercator map is a square. What is nearer to a pole has no place.
	maxLatitude = 85.05112878
	hashLetters = 11
	oddBits     = 0xaaaaaaaaaaaaaaaa // longitude's
	evenBits    = 0x5555555555555555 // latitude's
)

// within gives the cell of a place in a grid that reaches from -longitude to longitude, -latitude to latitude.
func (p place) within(longitude, latitude float64, step uint) cell {
	size := float64(uint64(1) << step)
	x := uint32((p.longitude + longitude) / (2 * longitude) * size)
	y := uint32((p.latitude + latitude) / (2 * latitude) * size)
	return cell{number: spread(y) | spread(x)<<1, step: step}
}

func (p place) cell(step uint) cell { return p.within(maxLongitude, maxLatitude, step) }

// appendHash appends the place as a geohash string: eleven letters of five bits, of which only fifty bits are known; the last is always 0.
// There latitudes reach from pole to pole.
func (p place) appendHash(dst []byte) []byte {
	const letters = "0123456789bcdefghjkmnpqrstuvwxyz"
	n := p.within(180, 90, finestStep).number
	for i := range hashLetters - 1 {
		dst = append(dst, letters[n>>(47-5*i)&31])
	}
	return append(dst, letters[0])
}

// align gives the least score in a cell.
func (c cell) align() uint64 { return c.number << (2*finestStep - 2*c.step) }

// scores are those in the cell: low ≤ score < high.
func (c cell) scores() (low, high float64) {
	next := cell{number: c.number + 1, step: c.step}
	return float64(c.align()), float64(next.align())
}

// move gives the cell so many cells (-1, 0, 1) further east and north; at the edge the grid goes on at the other side. The very last
// longitude and latitude lie in cells outside the grid; along an axis on which they aren't moved they stay there, as in Redis.
func (c cell) move(east, north int) cell {
	all := uint64(math.MaxUint64) >> (64 - 2*c.step)
	return cell{number: step(c.number, oddBits, all, east) | step(c.number, evenBits, all, north), step: c.step}
}

// step adds d to the number that the bits of one axis make up. The other axis's bits are set for a carry to pass them, and clear for a borrow.
func step(number, axis, all uint64, d int) uint64 {
	n, other := number&axis, all&^axis
	switch {
	case d > 0:
		return (n + other + 1) & axis & all
	case d < 0:
		return ((n | other) - (other + 1)) & axis & all
	}
	return n
}

// area is the rectangle that a cell covers.
type area struct{ west, south, east, north float64 }

func (c cell) area() area {
	x, y := gather(c.number>>1), gather(c.number)
	size := float64(uint64(1) << c.step)
	edge := func(n uint32, reach float64) float64 {
		offset := float64(float64(n) / size * (2 * reach)) // rounded: not to be fused with the sum
		return -reach + offset
	}
	return area{west: edge(x, maxLongitude), east: edge(x+1, maxLongitude), south: edge(y, maxLatitude), north: edge(y+1, maxLatitude)}
}

// placeOfScore is the middle of the finest cell that a score names. A score that names none gives some place.
func placeOfScore(score float64) place {
	a := cell{number: cellNumber(score), step: finestStep}.area()
	return place{
		longitude: min(max((a.west+a.east)/2, -maxLongitude), maxLongitude),
		latitude:  min(max((a.south+a.north)/2, -maxLatitude), maxLatitude),
	}
}

// cellNumber makes a cell's number of a score. Scores that are no cell's give what they give on the processors that Redis mostly runs on.
func cellNumber(score float64) uint64 {
	switch {
	case score >= 1<<64:
		return 0
	case score >= 1<<63:
		return uint64(score)
	}
	return uint64(shownScore(score))
}

// shownScore is what WITHHASH shows of a score.
func shownScore(score float64) int64 {
	if score >= 1<<63 || score < -1<<63 {
		return math.MinInt64
	}
	return int64(score)
}

// spread puts the bits of n at the even places.
func spread(n uint32) uint64 {
	x := uint64(n)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & evenBits
}

// gather undoes spread; it ignores the odd places.
func gather(x uint64) uint32 {
	x &= evenBits
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}
