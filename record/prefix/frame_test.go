package prefix

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestFrame_HoldsExactlyAsLongAsItsTimesStandStill(t *testing.T) {
	at := func(text string) time.Time {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		return t
	}
	for _, c := range []struct{ name, zone, pattern, at, from, until string }{
		{"day", "UTC", "yyyy-MM-dd", "2024-02-29T12:34:56Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"hour", "UTC", "yyyy-MM-dd/HH", "2024-02-29T12:34:56Z", "2024-02-29T12:00:00Z", "2024-02-29T13:00:00Z"},
		{"half of a day", "UTC", "dd a", "2024-02-29T12:34:56Z", "2024-02-29T12:00:00Z", "2024-02-29T13:00:00Z"},
		{"minute", "UTC", "HHmm", "2024-02-29T12:34:56Z", "2024-02-29T12:34:00Z", "2024-02-29T12:35:00Z"},
		{"second", "UTC", "HHmmss", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z", "2024-02-29T12:34:57Z"},
		{"before 1970", "UTC", "HH", "1969-12-31T23:59:59Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"},
		{"offset of 5:45", "Asia/Kathmandu", "HH", "2024-02-29T12:34:56Z", "2024-02-29T12:15:00Z", "2024-02-29T13:15:00Z"},
		{"day of 23 hours before the change", "America/New_York", "dd", "2024-03-10T06:00:00Z", "2024-03-10T05:00:00Z", "2024-03-10T07:00:00Z"},
		{"day of 23 hours behind the change", "America/New_York", "dd", "2024-03-10T12:00:00Z", "2024-03-10T07:00:00Z", "2024-03-11T04:00:00Z"},
		{"half an hour of change", "Australia/Lord_Howe", "HH", "2024-10-05T15:29:00Z", "2024-10-05T14:30:00Z", "2024-10-05T15:30:00Z"},
		{"half an hour behind the change", "Australia/Lord_Howe", "HH", "2024-10-05T15:31:00Z", "2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := frameTemplate(t, c.pattern, c.zone).frame(at(c.at))
			if from, until := time.UnixMilli(f.from).UTC(), time.UnixMilli(f.until).UTC(); !from.Equal(at(c.from)) || !until.Equal(at(c.until)) {
				t.Errorf("holds from %v until %v: want %s until %s", from, until, c.from, c.until)
			}
		})
	}
}

func TestFrameCache_AlwaysGivesWhatTheTemplateGives(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, zone := range []string{"UTC", "Europe/Lisbon", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia"} {
		for _, pattern := range []string{"yyyy/MM/dd", "yyyy/MM/dd/HH", "HH:mm", "ss", "SSS", "xxx HH", "a"} {
			tmpl := frameTemplate(t, pattern, zone)
			var cache frameCache
			at := time.Date(1971, 12, 1, 0, 0, 0, 0, time.UTC)
			hits := 0
			var last *frame
			for range 3000 {
				at = at.Add(time.Duration(random.Int64N(int64(40 * time.Minute)))).Add(-15 * time.Minute) // not always forward
				if random.IntN(100) == 0 {
					at = at.AddDate(0, random.IntN(9), 0)
				}
				got := cache.at(tmpl, at)
				if want := tmpl.texts(at.In(tmpl.zone), ""); !slices.Equal(got.texts, want) {
					t.Fatalf("%s in %s at %v: %q, want %q", pattern, zone, at, got.texts, want)
				}
				if got == last {
					hits++
				}
				last = got
			}
			if hits == 0 && tmpl.step >= time.Hour {
				t.Errorf("%s in %s: nothing was remembered", pattern, zone)
			}
		}
	}
}

// FuzzFrame holds for any two instants that one's frame is the other's where it claims to be.
func FuzzFrame(f *testing.F) {
	f.Add("yyyy/MM/dd/HH", uint8(1), int64(1711846799999), int64(1))
	f.Add("yyyy-MM-dd", uint8(4), int64(1728142199000), int64(-3600000))
	zones := []string{"UTC", "Europe/Lisbon", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Africa/Monrovia"}
	f.Fuzz(func(t *testing.T, pattern string, zone uint8, ms, apart int64) {
		tmpl, err := parse("!{timestamp:"+pattern+"}", mustZone(zones[int(zone)%len(zones)]))
		if err != nil {
			return
		}
		ms %= 250e12
		frame := tmpl.frame(time.UnixMilli(ms))
		if tmpl.step > 0 && (ms < frame.from || ms >= frame.until) {
			t.Fatalf("%q at %d: the frame holds from %d until %d", pattern, ms, frame.from, frame.until)
		}
		other := ms + apart%int64(36*time.Hour/time.Millisecond)
		if other < frame.from || other >= frame.until {
			return
		}
		if got := tmpl.frame(time.UnixMilli(other)).texts; !slices.Equal(got, frame.texts) {
			t.Errorf("%q: %q at %d, %q at %d in its frame", pattern, frame.texts, ms, got, other)
		}
	})
}

func frameTemplate(t *testing.T, pattern, zone string) *template {
	t.Helper()
	tmpl, err := parse("!{timestamp:"+pattern+"}", mustZone(zone))
	if err != nil {
		t.Fatal(err)
	}
	return &tmpl
}

func mustZone(name string) *time.Location {
	zone, err := LoadZone(name)
	if err != nil {
		panic(err)
	}
	return zone
}

func TestFrameCache_LetsAFrameGoAtTheVeryInstant(t *testing.T) {
	tmpl := frameTemplate(t, "HH", "Asia/Kathmandu") // an hour begins there at a quarter past
	change := time.Date(2024, 2, 29, 12, 15, 0, 0, time.UTC)
	var cache frameCache
	for _, c := range []struct {
		at   time.Time
		want string
	}{{change.Add(-time.Millisecond), "17"}, {change, "18"}, {change.Add(-time.Millisecond), "17"}} {
		if got := cache.at(tmpl, c.at).texts[0]; got != c.want {
			t.Errorf("%v: hour %s, want %s", c.at, got, c.want)
		}
	}
}
