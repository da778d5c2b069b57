package prefix_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
)

func calendar(t *testing.T, data, zoneName string) (*prefix.Router, *prefix.Calendar) {
	t.Helper()
	c := prefix.Config{Data: data, Zone: zone(zoneName)}
	if strings.Contains(data, "!{") {
		c.Error = errorPrefix
	}
	if strings.Contains(data, "FromQuery:c") {
		c.Query = "{c:.c}"
	}
	r := router(t, c)
	calendar, err := r.Calendar()
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return r, calendar
}

// seen is what a walk from minute to minute has seen of a folder.
type seen struct{ first, last time.Time }

// walk routes a record of each minute, and returns the folders and when they were used.
func walk(t *testing.T, r *prefix.Router, folder func(partition string) string, from, until time.Time) map[string]seen {
	t.Helper()
	folders := make(map[string]seen)
	for at := from; at.Before(until); at = at.Add(time.Minute) {
		partition, err := r.Partition(&record.Record{Arrival: at, Data: []byte(`{"c":"x"}`)})
		if err != nil {
			t.Fatal(err)
		}
		name := folder(partition)
		s, known := folders[name]
		if !known {
			s.first = at
		}
		s.last = at.Add(time.Minute)
		folders[name] = s
	}
	return folders
}

func untilLastSlash(partition string) string {
	return partition[:strings.LastIndexByte(partition, '/')+1]
}

// The oracle knows nothing of zones and units: it asks the router where a record of each minute is stored.
func TestCalendar_EndsAPeriodAfterTheLastMinuteThatIsStoredInIt(t *testing.T) {
	const (
		hourly  = "data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/"
		daily   = "data/!{timestamp:yyyy-MM-dd}/"
		minutes = "!{timestamp:yyyy/MM/dd/HH/mm}/"
	)
	for _, c := range []struct{ why, prefix, zone, from, until string }{
		{"no changes", hourly, "UTC", "2026-11-28T00:00:00Z", "2026-12-02T00:00:00Z"},
		{"Firehose's default", "", "UTC", "2026-12-30T00:00:00Z", "2027-01-02T00:00:00Z"},
		{"text before the default", "legacy", "Asia/Kolkata", "2026-12-30T00:00:00Z", "2027-01-02T00:00:00Z"},
		{"an hour occurs twice", hourly, "Europe/Lisbon", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"},
		{"an hour is skipped", hourly, "Europe/Lisbon", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"},
		{"a day of 25 hours", daily, "America/New_York", "2026-10-30T00:00:00Z", "2026-11-04T00:00:00Z"},
		{"a day of 23 hours", daily, "America/New_York", "2026-03-06T00:00:00Z", "2026-03-11T00:00:00Z"},
		{"minutes that occur twice", minutes, "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T09:00:00Z"},
		{"half an hour occurs twice", hourly, "Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z"},
		{"half an hour is skipped", hourly, "Australia/Lord_Howe", "2026-10-02T00:00:00Z", "2026-10-05T00:00:00Z"},
		{"minutes of half an hour twice", minutes, "Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-04T17:00:00Z"},
		{"a day begins at 01:00", daily, "America/Sao_Paulo", "2018-11-02T00:00:00Z", "2018-11-07T00:00:00Z"},
		{"a day is interrupted: clocks go back a minute after midnight", daily, "America/St_Johns", "2006-10-27T00:00:00Z", "2006-11-01T00:00:00Z"},
		{"an hour is interrupted", hourly, "America/St_Johns", "2006-10-27T00:00:00Z", "2006-11-01T00:00:00Z"},
		{"a day is skipped", daily, "Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-03T00:00:00Z"},
		{"hours of a day are skipped", hourly, "Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-03T00:00:00Z"},
		{"months", "!{timestamp:yyyy}/!{timestamp:MMMM}/", "Europe/Lisbon", "2026-01-01T00:00:00Z", "2026-05-03T00:00:00Z"},
		{"quarters", "!{timestamp:yyyy-QQQ}/", "UTC", "2025-12-01T00:00:00Z", "2026-07-03T00:00:00Z"},
		{"years", "!{timestamp:yyyy}/", "Asia/Tokyo", "2025-12-01T00:00:00Z", "2027-01-03T00:00:00Z"},
		{"days of the year and hours of half a day", "!{timestamp:yyyy/DDD/hh a}/", "Europe/Lisbon", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"},
		{"days first", "!{timestamp:dd.MM.yyyy}/", "UTC", "2026-01-30T00:00:00Z", "2026-02-03T00:00:00Z"},
		{"the hour is not a folder", "!{timestamp:yyyy/MM/dd}/!{timestamp:HH}-", "UTC", "2026-01-30T00:00:00Z", "2026-02-03T00:00:00Z"},
	} {
		t.Run(c.why+" in "+c.zone, func(t *testing.T) {
			r, calendar := calendar(t, c.prefix, c.zone)
			from, until := mustTime(t, c.from), mustTime(t, c.until)
			folders := walk(t, r, untilLastSlash, from, until.Add(50*time.Hour))
			got := make(map[string]bool)
			var last time.Time
			for p := range calendar.Ended(from, until) {
				if len(p.Folders) != 1 || got[p.Folders[0]] {
					t.Fatalf("period %v after %v: want one folder, once", p, got)
				}
				name := p.Folders[0]
				got[name] = true
				if p.End.Before(last) || !p.End.After(from) || p.End.After(until) {
					t.Errorf("%s ended at %s, the one before at %s: want order, within the bounds", name, p.End, last)
				}
				last = p.End
				if s := folders[name]; !p.End.Equal(s.last) {
					t.Errorf("%s ended at %s, its last minute at %s", name, p.End, s.last)
				} else if s.first.After(from) && !p.Begin.Equal(s.first) {
					t.Errorf("%s began at %s, its first minute at %s", name, p.Begin, s.first)
				}
			}
			for name, s := range folders {
				if !s.last.After(until) && !got[name] {
					t.Errorf("%s ended at %s and is left out", name, s.last)
				}
			}
			if len(got) == 0 {
				t.Error("nothing ended: the case shows nothing")
			}
		})
	}
}

func TestCalendar_ReturnsEachPeriodOnceHoweverTheTimeIsCut(t *testing.T) {
	for _, step := range []time.Duration{7 * time.Minute, 59*time.Minute + 999*time.Millisecond, time.Hour, 5 * time.Hour, 31 * time.Hour} {
		for _, data := range []string{"!{timestamp:yyyy/MM/dd/HH}/", "!{timestamp:yyyy/MM/dd/HH/mm}/", "!{timestamp:yyyyMMdd}/"} {
			_, calendar := calendar(t, data, "America/St_Johns")
			from, until := mustTime(t, "2006-10-28T12:00:00Z"), mustTime(t, "2006-10-30T12:00:00Z")
			var whole, cut []string
			for p := range calendar.Ended(from, until) {
				whole = append(whole, p.Folders...)
			}
			for at := from; at.Before(until); at = at.Add(step) {
				for p := range calendar.Ended(at, earliest(at.Add(step), until)) {
					cut = append(cut, p.Folders...)
				}
			}
			if !slices.Equal(whole, cut) || len(whole) == 0 {
				t.Errorf("%s in steps of %v: %d folders, %d at once", data, step, len(cut), len(whole))
			}
		}
	}
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func mustTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestCalendar_HasAllFoldersOfAPeriodWhoseNameHasTheOffset(t *testing.T) {
	_, calendar := calendar(t, "!{timestamp:yyyy-MM-dd'T'HH xx}/", "Europe/Lisbon")
	for p := range calendar.Ended(mustTime(t, "2026-10-25T00:30:00Z"), mustTime(t, "2026-10-25T02:00:00Z")) {
		if want := []string{"2026-10-25T01 +0100/", "2026-10-25T01 +0000/"}; !slices.Equal(p.Folders, want) {
			t.Errorf("folders %q, want %q", p.Folders, want)
		}
		if p.End.Sub(p.Begin) != 2*time.Hour {
			t.Errorf("%v: want the two hours", p)
		}
	}
}

func TestCalendar_MarksWhatIsBeforeAKey(t *testing.T) {
	_, calendar := calendar(t, "a/day=!{timestamp:yyyy-MM-dd}/c=!{partitionKeyFromQuery:c}/hour=!{timestamp:HH}/", "UTC")
	var got []string
	for p := range calendar.Ended(mustTime(t, "2026-11-28T00:00:00Z"), mustTime(t, "2026-11-30T00:00:00Z")) {
		got = append(got, p.Folders...)
	}
	if want := []string{"a/day=2026-11-28/", "a/day=2026-11-29/"}; !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}

func TestCalendar_RefusesFoldersThatTellNoPeriod(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"c=!{partitionKeyFromQuery:c}/!{timestamp:yyyy/MM/dd}/", "no folder for a time"},
		{"!{firehose:random-string}/!{timestamp:yyyy/MM/dd}/", "no folder for a time"},
		{"c=!{partitionKeyFromQuery:c}/", "no folder for a time"},
		{"a/!{timestamp:yyyy-MM-dd}-", "no folder for a time"},
		{"!{timestamp:VV}/", "no folder for a time"},
		{"!{timestamp:MM/dd}/", "lack the year"},
		{"!{timestamp:EEE}/", "lack the year"},
		{"!{timestamp:yyyy/dd}/", "a part of the year"},
		{"!{timestamp:yyyy/MM/EEE}/", "a part of the month"},
		{"!{timestamp:yyyy/MMMMM}/", "a part of the year"},
		{"!{timestamp:yyyy/MM/dd/hh}/", "a part of the day"},
		{"!{timestamp:yyyy/MM/dd/a}/", "a part of the day"},
		{"!{timestamp:yyyy/MM/dd/mm}/", "a part of the day"},
		{"!{timestamp:yyyy/MM/HH}/", "a part of the month"},
		{"!{timestamp:yyyy/MM/dd/HH/mm/ss}/", "shorter than a minute"},
		{"!{timestamp:yyyy/A}/", "shorter than a minute"},
		{"!{timestamp:yyyyMd}/", "the same folder"},
		{"!{timestamp:yyyy/MM/d}0!{timestamp:HH}/", "the same folder"},
		{"!{timestamp:yyyy/DDH}/", "the same folder"},
		{"!{timestamp:yyyy/MM/dd/XHH}/", "the same folder"},
	} {
		config := prefix.Config{Data: c.data, Error: errorPrefix}
		if strings.Contains(c.data, "FromQuery") {
			config.Query = "{c:.c}"
		}
		if _, err := router(t, config).Calendar(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.data, err, c.want)
		}
	}
	for _, data := range []string{"!{timestamp:yyyy/M/d/H}/", "!{timestamp:yyyy/MM/dd/EEE}/", "!{timestamp:yyyy/MM/dd/HH xx}/", "!{timestamp:yyyyMMddHH}/"} {
		calendar(t, data, "UTC")
	}
}
