package command

import "math"

const (
	earthRadius  = 6372797.560856 // meters
	mercatorMax  = 20037726.37    // half the width of the map, in meters
	radianDegree = math.Pi / 180
)

// distance is that along the surface of a ball, in meters (haversine). Products are converted so that no machine fuses them with a sum.
func (p place) distance(q place) float64 {
	v := math.Sin((q.longitude*radianDegree - float64(p.longitude*radianDegree)) / 2)
	if v == 0 {
		return p.latitudeDistance(q)
	}
	lat1, lat2 := float64(p.latitude*radianDegree), float64(q.latitude*radianDegree)
	u := math.Sin((lat2 - lat1) / 2)
	a := float64(u*u) + float64(math.Cos(lat1)*math.Cos(lat2)*v*v)
	return 2 * earthRadius * math.Asin(math.Sqrt(a))
}

func (p place) latitudeDistance(q place) float64 {
	return earthRadius * math.Abs(float64(q.latitude*radianDegree)-float64(p.latitude*radianDegree))
}

// geoShape is what a search covers: a circle, or a box with two sides along meridians.
type geoShape struct {
	middle        place
	box           bool
	radius        float64 // of a circle
	width, height float64 // of a box
	unit          float64 // of the lengths above, in meters
}

// holds says whether a place is in the shape, and how far it is from the middle, in meters.
func (s *geoShape) holds(p place) (distance float64, ok bool) {
	if !s.box {
		distance = s.middle.distance(p)
		return distance, distance <= s.radius*s.unit
	}
	if p.latitudeDistance(s.middle) > s.height*s.unit/2 {
		return 0, false
	}
	if p.distance(place{longitude: s.middle.longitude, latitude: p.latitude}) > s.width*s.unit/2 {
		return 0, false
	}
	return s.middle.distance(p), true
}

// bounds is a rectangle of degrees around the shape.
func (s *geoShape) bounds() area {
	width, height := s.radius*s.unit, s.radius*s.unit
	if s.box {
		width, height = s.unit*(s.width/2), s.unit*(s.height/2)
	}
	dLat := height / earthRadius / radianDegree
	edge := s.middle.latitude + dLat // of the two, the one nearer to a pole: meridians are closest there
	if s.middle.latitude < 0 {
		edge = s.middle.latitude - dLat
	}
	dLon := width / earthRadius / math.Cos(edge*radianDegree) / radianDegree
	return area{
		west: s.middle.longitude - dLon, east: s.middle.longitude + dLon,
		south: s.middle.latitude - dLat, north: s.middle.latitude + dLat,
	}
}

// reach is how far the shape reaches from its middle, in meters.
func (s *geoShape) reach() float64 {
	if !s.box {
		return s.radius * s.unit
	}
	return math.Sqrt(float64(s.width/2*(s.width/2))+float64(s.height/2*(s.height/2))) * s.unit
}

// step is how fine a grid to search, such that nine cells cover the shape.
func (s *geoShape) step() uint {
	reach := s.reach()
	if reach == 0 {
		return finestStep
	}
	step := 1
	for reach < mercatorMax {
		reach *= 2
		step++
	}
	step -= 2
	if latitude := math.Abs(s.middle.latitude); latitude > 66 {
		step--
		if latitude > 80 {
			step--
		}
	}
	return uint(min(max(step, 1), finestStep))
}

// cells gives the cells to search, in the order in which Redis does: the order of a reply that isn't sorted. A zero cell needn't be searched.
func (s *geoShape) cells() [9]cell {
	bounds, step := s.bounds(), s.step()
	middle := s.middle.cell(step)
	if step > 1 && !middle.reaches(bounds) {
		step--
		middle = s.middle.cell(step)
	}
	around := [9]cell{middle}
	a := middle.area()
	for i, d := range [...][2]int{{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}} {
		east, north := d[0], d[1]
		// What lies behind a side of the middle cell isn't needed if the shape doesn't reach that side.
		useless := north < 0 && a.south < bounds.south || north > 0 && a.north > bounds.north ||
			east < 0 && a.west < bounds.west || east > 0 && a.east > bounds.east
		if step < 2 || !useless {
			around[i+1] = middle.move(east, north)
		}
	}
	return around
}

// reaches says whether the cells around reach to all sides of the bounds.
func (c cell) reaches(bounds area) bool {
	return c.move(0, 1).area().north >= bounds.north && c.move(0, -1).area().south <= bounds.south &&
		c.move(1, 0).area().east >= bounds.east && c.move(-1, 0).area().west <= bounds.west
}
