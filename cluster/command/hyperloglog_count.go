package command

import "math"

// registers are those of a sketch, or the greatest of several, each in a byte.
type registers [registerCount]uint8

// merge raises the registers to those of a sketch. ok is false when its runs are wrong.
func (m *registers) merge(s sketch) (ok bool) {
	body := s[sketchHeader:]
	if s.dense() {
		for i := range m {
			m[i] = max(m[i], body.register(i))
		}
		return true
	}
	i := 0
	for len(body) > 0 {
		r := readRun(body)
		if r.value > 0 {
			if i+r.length > registerCount {
				return false
			}
			for j := i; j < i+r.length; j++ {
				m[j] = max(m[j], r.value)
			}
		}
		i += r.length
		body = body[min(r.width, len(body)):]
	}
	return i == registerCount
}

// histogram is how many registers have each value.
type histogram [64]int

func (m *registers) histogram() *histogram {
	h := new(histogram)
	for _, v := range m {
		h[v&63]++
	}
	return h
}

// histogram counts a sketch's registers. ok is false when its runs are wrong.
func (s sketch) histogram() (h *histogram, ok bool) {
	h = new(histogram)
	body, n := s[sketchHeader:], 0
	if s.dense() {
		for i := range registerCount {
			h[body.register(i)]++
		}
		return h, true
	}
	for len(body) > 0 {
		r := readRun(body)
		h[r.value] += r.length
		n += r.length
		body = body[min(r.width, len(body)):]
	}
	return h, n == registerCount
}

// estimate gives the number of distinct elements that most likely left such registers: O. Ertl, New cardinality estimation algorithms
// for HyperLogLog sketches, arXiv:1702.01284. The conversions keep products from being fused with sums, so that every machine
// computes the same.
func (h *histogram) estimate() uint64 {
	const m, alpha = float64(registerCount), 0.721347520444481703680
	z := m * tau((m-float64(h[maxRun+1]))/m)
	for i := maxRun; i >= 1; i-- {
		z = (z + float64(h[i])) * 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	return uint64(math.Round(alpha * m * m / z))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}
