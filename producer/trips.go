package producer

import (
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"strconv"
)

// The set that made-up trips look like: "ECML/PKDD 15: Taxi Trip Time Prediction", one year of the taxis of Porto.
const (
	taxis      = 448
	firstTaxi  = 20000001
	yearStart  = 1372636800 // 2013-07-01T00:00:00Z
	yearLength = 365 * 24 * 60 * 60
	maxJitter  = 60 * 60 // seconds by which a trip may begin later than its turn
	turns      = yearLength - maxJitter

	// MaxTrips is the largest number of trips with a unique TRIP_ID: each taxi leaves at most once per second.
	MaxTrips = taxis * turns
)

// Generate returns n generated taxi trips, 0 to MaxTrips, with the columns and distributions of the original data set. The
// same n and seed give the same trips on every machine. They cover one year, roughly in chronological order, and TRIP_ID is
// unique among them.
func Generate(n int64, seed uint64) Source {
	return &tripSource{count: n, seed: seed, cells: make([][]byte, len(tripColumns))}
}

var tripColumns = [...]string{
	"TRIP_ID", "CALL_TYPE", "ORIGIN_CALL", "ORIGIN_STAND", "TAXI_ID", "TIMESTAMP", "DAY_TYPE", "MISSING_DATA", "POLYLINE",
}

// tripSource draws each trip from its own number, and only with whole numbers: floating point may round otherwise on
// another processor.
type tripSource struct {
	count, made int64
	seed        uint64

	random rand.PCG
	buf    []byte
	ends   [len(tripColumns)]int
	cells  [][]byte
}

func (t *tripSource) Columns() ([]string, error) { return tripColumns[:], nil }

func (t *tripSource) Next() (Row, error) {
	if t.count < 0 || t.count > MaxTrips {
		return Row{}, fmt.Errorf("generate %d trips: want 0 to %d", t.count, int64(MaxTrips))
	}
	if t.made == t.count {
		return Row{}, io.EOF
	}
	t.make(t.made)
	t.made++
	start := 0
	for i, end := range t.ends {
		t.cells[i] = t.buf[start:end:end]
		start = end
	}
	return Row{Line: t.made, Cells: t.cells}, nil
}

// make writes the cells of trip i one behind another.
func (t *tripSource) make(i int64) {
	t.random.Seed(t.seed, mix(uint64(i)))
	departure, taxi := t.departure(i)
	b, column := t.buf[:0], 0
	end := func() {
		t.ends[column] = len(b)
		column++
	}

	b = strconv.AppendInt(b, departure, 10)
	b = append(b, '6')
	b = strconv.AppendInt(b, taxi, 10)
	end()
	callType := t.callType()
	b = append(b, callType)
	end()
	if callType == 'A' {
		b = t.appendKnown(b, 2001, 63884)
	}
	end()
	if callType == 'B' {
		b = t.appendKnown(b, 1, 63)
	}
	end()
	b = strconv.AppendInt(b, taxi, 10)
	end()
	b = strconv.AppendInt(b, departure, 10)
	end()
	b = append(b, t.dayType())
	end()
	b = append(b, t.missingData()...)
	end()
	b = t.appendPolyline(b)
	end()
	t.buf = b
}

// departure returns the start of trip i and its taxi. A taxi's turn comes every 448 trips, and the jitter is never
// longer than the time between two turns of a taxi, so no taxi leaves twice in a second.
func (t *tripSource) departure(i int64) (unixSeconds, taxi int64) {
	jitter := min(maxJitter, MaxTrips/t.count)
	turn := yearStart + i*turns/t.count
	taxi = int64((uint64(i)*167 + mix(t.seed)) % taxis)
	return turn + t.below(jitter), firstTaxi + taxi
}

// callType returns how the taxi was called: through the central (A), at a stand (B), or otherwise (C).
func (t *tripSource) callType() byte {
	switch n := t.below(100); {
	case n < 21:
		return 'A'
	case n < 69:
		return 'B'
	default:
		return 'C'
	}
}

// appendKnown adds a number from low to high, or, now and then, NA for one that nobody wrote down.
func (t *tripSource) appendKnown(b []byte, low, high int64) []byte {
	if t.below(64) == 0 {
		return append(b, "NA"...)
	}
	return strconv.AppendInt(b, low+t.below(high-low+1), 10)
}

// dayType tells a normal day (A), a holiday (B), or the day before a holiday (C).
func (t *tripSource) dayType() byte {
	switch n := t.below(100); {
	case n < 95:
		return 'A'
	case n < 98:
		return 'B'
	default:
		return 'C'
	}
}

func (t *tripSource) missingData() string {
	if t.below(200) == 0 {
		return "True"
	}
	return "False"
}

// tripLength says how long trips are: of every 100,000, that many are not longer than points, and between two entries
// lengths are spread evenly. One trip in 250 has no point at all.
var tripLength = []struct{ of100000, points int64 }{
	{400, 0}, {2000, 4}, {5000, 11}, {10000, 16}, {25000, 26}, {50000, 40}, {75000, 56}, {90000, 79}, {95000, 102},
	{99000, 170}, {99900, 450}, {99990, 1500}, {100000, 3881},
}

func (t *tripSource) points() int64 {
	n := t.below(100000)
	if n < tripLength[0].of100000 {
		return 0
	}
	k := 1
	for n >= tripLength[k].of100000 {
		k++
	}
	low, high := tripLength[k-1], tripLength[k]
	return low.points + 1 + (n-low.of100000)*(high.points-low.points)/(high.of100000-low.of100000)
}

// A place in millionths of a degree. Trips stay between west, east, south and north.
const (
	west, east   = -8_700_000, -8_550_000
	south, north = 41_100_000, 41_250_000
)

// starts are places where many trips begin: the centre, the stations, the airport, the university, the beach.
var starts = [...]struct{ longitude, latitude int64 }{
	{-8_610_876, 41_145_570}, {-8_585_676, 41_148_522}, {-8_630_613, 41_154_795}, {-8_670_600, 41_237_100},
	{-8_599_338, 41_177_826}, {-8_676_027, 41_152_401}, {-8_615_538, 41_140_602}, {-8_645_994, 41_180_490},
}

// appendPolyline adds the way of a taxi that reports its place every 15 seconds, as [[longitude,latitude],...].
func (t *tripSource) appendPolyline(b []byte) []byte {
	b = append(b, '[')
	place := starts[t.below(int64(len(starts)))]
	longitude, latitude := place.longitude+t.around(6000), place.latitude+t.around(6000)
	eastward, northward := t.around(1500), t.around(1200) // per 15 seconds; about 30 km/h
	for i := range t.points() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = appendMillionths(b, longitude)
		b = append(b, ',')
		b = appendMillionths(b, latitude)
		b = append(b, ']')
		if t.below(8) == 0 {
			continue // a red light
		}
		eastward = eastward*7/8 + t.around(1200)
		northward = northward*7/8 + t.around(900)
		longitude, eastward = bounce(longitude+eastward, eastward, west, east)
		latitude, northward = bounce(latitude+northward, northward, south, north)
	}
	return append(b, ']')
}

// bounce keeps a place between low and high, and turns round at the edge.
func bounce(place, step, low, high int64) (int64, int64) {
	if place < low {
		return low, -step
	}
	if place > high {
		return high, -step
	}
	return place, step
}

// appendMillionths adds n/1e6 in decimal, without zeros at its end.
func appendMillionths(b []byte, n int64) []byte {
	if n < 0 {
		b = append(b, '-')
		n = -n
	}
	b = strconv.AppendInt(b, n/1_000_000, 10)
	b = append(b, '.')
	for rest, unit := n%1_000_000, int64(100_000); ; rest, unit = rest%unit, unit/10 {
		b = append(b, byte('0'+rest/unit))
		if rest%unit == 0 {
			return b
		}
	}
}

// below returns a number from 0 to n-1. The slight favour for small numbers does not matter here.
func (t *tripSource) below(n int64) int64 {
	hi, _ := bits.Mul64(t.random.Uint64(), uint64(n))
	return int64(hi)
}

// around returns a number from -n to n, most often one near 0.
func (t *tripSource) around(n int64) int64 { return (t.below(2*n+1)+t.below(2*n+1))/2 - n }

// mix spreads neighbouring numbers over all 64 bits (the output function of SplitMix64).
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
