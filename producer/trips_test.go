package producer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hashTrips returns a digest of the CSV of n trips.
func hashTrips(t *testing.T, n int64, seed uint64) string {
	t.Helper()
	h := sha256.New()
	if err := WriteCSV(h, Generate(n, seed)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

func TestGenerate_MakesTheSameTripsOnEveryMachine(t *testing.T) {
	for _, test := range []struct {
		n    int64
		seed uint64
		want string
	}{{1, 0, "3efffeeca70ddfed"}, {2000, 1, "d8935e092bbfadf0"}, {2000, 2, "96ad3e59ee95c895"}} {
		if got := hashTrips(t, test.n, test.seed); got != test.want {
			t.Errorf("%d trips from seed %d: digest %s, want %s", test.n, test.seed, got, test.want)
		}
	}
}

func TestGenerate_TheSampleInTheRepositoryIsWhatItMakes(t *testing.T) {
	want, err := os.ReadFile("testdata/trips.csv")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := WriteCSV(&got, Generate(300, 1)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("testdata/trips.csv is not what producer --generate 300 --seed 1 --write-csv writes")
	}
}

// trip is a row as a reader of the stream sees it.
type trip struct {
	TRIP_ID, CALL_TYPE, ORIGIN_CALL, ORIGIN_STAND, TAXI_ID, TIMESTAMP, DAY_TYPE, MISSING_DATA, POLYLINE string
}

// eachTrip calls f with trips and their JSON.
func eachTrip(t testing.TB, n int64, seed uint64, f func(trip, []byte)) {
	t.Helper()
	source := Generate(n, seed)
	columns, err := source.Columns()
	if err != nil {
		t.Fatal(err)
	}
	o := newObject(columns)
	var object []byte
	for i := int64(0); ; i++ {
		row, err := source.Next()
		if err == io.EOF {
			if i != n {
				t.Fatalf("%d trips, want %d", i, n)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		object = o.append(object[:0], row.Cells)
		c := row.Cells
		f(trip{string(c[0]), string(c[1]), string(c[2]), string(c[3]), string(c[4]), string(c[5]), string(c[6]), string(c[7]), string(c[8])}, object)
	}
}

func TestGenerate_TripsLookLikeThoseOfTheSet(t *testing.T) {
	const n = 10000
	calls, days, taxisSeen, missing, unknown := map[string]int{}, map[string]int{}, map[string]int{}, 0, 0
	var lengths []int
	bytesTotal := 0
	eachTrip(t, n, 7, func(trip trip, object []byte) {
		bytesTotal += len(object)
		calls[trip.CALL_TYPE]++
		days[trip.DAY_TYPE]++
		taxisSeen[trip.TAXI_ID]++
		if trip.MISSING_DATA == "True" {
			missing++
		} else if trip.MISSING_DATA != "False" {
			t.Fatalf("MISSING_DATA is %q", trip.MISSING_DATA)
		}
		if trip.TRIP_ID != trip.TIMESTAMP+"6"+trip.TAXI_ID || len(trip.TRIP_ID) != 19 {
			t.Fatalf("TRIP_ID %s of taxi %s at %s", trip.TRIP_ID, trip.TAXI_ID, trip.TIMESTAMP)
		}
		if at := atoi(t, trip.TIMESTAMP); at < 1372636800 || at >= 1404172800 {
			t.Fatalf("TIMESTAMP %d is not from July 2013 to June 2014", at)
		}
		if taxi := atoi(t, trip.TAXI_ID); taxi < 20000001 || taxi > 20000448 {
			t.Fatalf("TAXI_ID %d", taxi)
		}
		if trip.ORIGIN_CALL == "NA" || trip.ORIGIN_STAND == "NA" {
			unknown++
		}
		checkOrigin(t, trip)
		if len(lengths)%10 == 0 {
			checkPolyline(t, trip.POLYLINE)
		}
		lengths = append(lengths, strings.Count(trip.POLYLINE, "[")-1)
	})

	slices.Sort(lengths)
	within(t, "median points", lengths[n/2], 36, 44)
	within(t, "95 % of trips have points up to", lengths[n*95/100], 80, 130)
	within(t, "empty trips", count(lengths, 0), n/1000, n/100)
	within(t, "longest trip", lengths[n-1], 1000, 3881)
	within(t, "bytes of a record on average", bytesTotal/n, 1100, 1300)
	within(t, "trips through the central", calls["A"], n*18/100, n*24/100)
	within(t, "trips from stands", calls["B"], n*45/100, n*51/100)
	within(t, "other trips", calls["C"], n*28/100, n*34/100)
	within(t, "normal days", days["A"], n*90/100, n*99/100)
	within(t, "days", days["A"]+days["B"]+days["C"], n, n)
	within(t, "trips with missing data", missing, 1, n/100)
	within(t, "trips of unknown origin", unknown, 1, n*3/100)
	within(t, "taxis", len(taxisSeen), 448, 448)
}

func checkOrigin(t *testing.T, trip trip) {
	t.Helper()
	check := func(value string, applies bool, low, high int) {
		switch {
		case !applies && value == "" || applies && value == "NA":
		case applies && atoi(t, value) >= low && atoi(t, value) <= high:
		default:
			t.Fatalf("CALL_TYPE %s with ORIGIN_CALL %q and ORIGIN_STAND %q", trip.CALL_TYPE, trip.ORIGIN_CALL, trip.ORIGIN_STAND)
		}
	}
	check(trip.ORIGIN_CALL, trip.CALL_TYPE == "A", 2001, 63884)
	check(trip.ORIGIN_STAND, trip.CALL_TYPE == "B", 1, 63)
}

func checkPolyline(t *testing.T, polyline string) {
	t.Helper()
	var places [][2]json.Number
	if err := json.Unmarshal([]byte(polyline), &places); err != nil {
		t.Fatalf("polyline %.60s: %v", polyline, err)
	}
	for _, place := range places {
		longitude, _ := place[0].Float64()
		latitude, _ := place[1].Float64()
		if longitude < -8.7 || longitude > -8.55 || latitude < 41.1 || latitude > 41.25 {
			t.Fatalf("%v is not in Porto", place)
		}
		if _, digits, _ := strings.Cut(place[0].String(), "."); len(digits) < 1 || len(digits) > 6 {
			t.Fatalf("%v has not 1 to 6 digits", place)
		}
	}
	if points := strings.Count(polyline, "[") - 1; points != len(places) {
		t.Fatalf("%d points, %d brackets", len(places), points)
	}
}

func TestGenerate_NoTwoTripsHaveTheSameID(t *testing.T) {
	for _, n := range []int64{1, 449, 50_000, 150_000} {
		source := Generate(n, 3).(*tripSource)
		seen := make(map[[2]int64]bool, n)
		for i := range n {
			source.random.Seed(source.seed, mix(uint64(i)))
			at, taxi := source.departure(i)
			if seen[[2]int64{at, taxi}] {
				t.Fatalf("of %d trips, number %d is there twice", n, i)
			}
			seen[[2]int64{at, taxi}] = true
		}
	}
}

// With the most trips that there can be, every taxi leaves every second, and neighbours can be told apart only if not
// one of them is late.
func TestGenerate_NoTwoTripsHaveTheSameIDInTheLargestSet(t *testing.T) {
	source := Generate(MaxTrips, 3).(*tripSource)
	for _, from := range []int64{0, MaxTrips / 2, MaxTrips - 3000} {
		seen := map[[2]int64]bool{}
		for i := from; i < from+3000; i++ {
			source.random.Seed(source.seed, mix(uint64(i)))
			at, taxi := source.departure(i)
			if seen[[2]int64{at, taxi}] || at >= 1404172800 {
				t.Fatalf("trip %d: taxi %d at %d", i, taxi, at)
			}
			seen[[2]int64{at, taxi}] = true
		}
	}
}

func TestGenerate_RefusesCountsThatItCanNotTellApart(t *testing.T) {
	for _, n := range []int64{-1, MaxTrips + 1} {
		if _, err := Generate(n, 1).Next(); err == nil || err == io.EOF {
			t.Errorf("%d trips: %v", n, err)
		}
	}
	if _, err := Generate(0, 1).Next(); err != io.EOF {
		t.Errorf("no trips: %v", err)
	}
}

func TestAppendMillionths(t *testing.T) {
	for n, want := range map[int64]string{
		-8_618_643: "-8.618643", 41_140_350: "41.14035", 41_000_000: "41.0", -1: "-0.000001", 0: "0.0", 100_000: "0.1",
	} {
		if got := string(appendMillionths(nil, n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func count(all []int, value int) (n int) {
	for _, v := range all {
		if v == value {
			n++
		}
	}
	return n
}

func within(t *testing.T, what string, got, low, high int) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: %d, want %d to %d", what, got, low, high)
	}
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	source := Generate(MaxTrips, 1)
	var bytes int64
	for b.Loop() {
		row, err := source.Next()
		if err != nil {
			b.Fatal(err)
		}
		for _, cell := range row.Cells {
			bytes += int64(len(cell))
		}
	}
	b.SetBytes(bytes / int64(b.N))
}
