package scaling

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 20, 0, time.UTC)

// minute is one that fills so many shards by its bytes. Its records are 100 a second and shard.
func minute(shards float64) Minute {
	return Minute{Bytes: shards * 60 * ShardBytesPerSecond, Records: shards * 60 * 100}
}

// throttledMinute has so many of its records refused.
func throttledMinute(shards, refused float64) Minute {
	m := minute(shards)
	m.Rejected = refused * m.Records
	return m
}

// since gives the minutes their times: the last one has ended at noon.
func since(minutes ...Minute) []Minute {
	for i := range minutes {
		minutes[i].Start = noon.Truncate(time.Minute).Add(time.Duration(i-len(minutes)) * time.Minute)
	}
	return minutes
}

// hour is an hour of the same minute.
func hour(m Minute) []Minute { return since(slices.Repeat([]Minute{m}, 60)...) }

// ago are times before noon.
func ago(durations ...time.Duration) []time.Time {
	var times []time.Time
	for _, d := range durations {
		times = append(times, noon.Add(-d))
	}
	return times
}

func hoursAgo(count int) []time.Time {
	var durations []time.Duration
	for i := range count {
		durations = append(durations, time.Duration(count-i)*time.Hour)
	}
	return ago(durations...)
}

func TestPlan(t *testing.T) {
	lag := minute(2)
	lag.Lag = 10 * time.Minute
	lagThrottled := lag
	lagThrottled.ReadsThrottled = 5
	records := Minute{Bytes: 1, Records: 3.9 * 60 * shardRecordsPerSecond}

	for _, c := range []struct {
		name   string
		shards int
		s      Stream
		want   int
		reason Reason
	}{
		{"load that fits", 4, Stream{Minutes: hour(minute(3.5))}, 4, KeepFits},
		{"no metrics", 4, Stream{}, 4, KeepUnknown},
		{"metrics of long ago only", 4, Stream{Minutes: hour(minute(3.9))[:10]}, 4, KeepUnknown},
		{"on demand", 4, Stream{OnDemand: true, Minutes: hour(minute(3.9))}, 4, KeepOnDemand},
		{"below the minimum", 1, Stream{Minutes: hour(minute(0.1))}, 2, Grow},
		{"far below the minimum", 1, Stream{Minutes: hour(minute(0.1))}, 2, Grow},

		{"nearly full by bytes", 4, Stream{Minutes: hour(minute(3.9))}, 5, GrowLoad},
		{"nearly full by records", 4, Stream{Minutes: hour(records)}, 5, GrowLoad},
		{"full for the last minute alone", 4, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(3.3)}, 40), minute(3.9))...)}, 5, GrowLoad},
		{"a jump of the load", 4, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(2)}, 40), minute(3.9))...)}, 8, GrowLoad},
		{"a jump that fits", 4, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(2)}, 40), minute(3.7))...)}, 4, KeepFits},
		{"a jump with a change under way", 5, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(3.8)}, 40), throttledMinute(4, 0.2))...), Changes: ago(time.Minute)}, 10, GrowLoad},
		{"the last change of the day has to do", 4, Stream{Minutes: hour(minute(3.9)), Changes: hoursAgo(9)}, 8, GrowLoad},
		{"full three minutes ago", 4, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(3.5)}, 40), minute(3.9), minute(3.5), minute(3.5))...)}, 4, KeepFits},
		{"nearly full, at the maximum", 16, Stream{Minutes: hour(minute(15.9))}, 16, KeepLimit},
		{"nearly full, just below the maximum", 15, Stream{Minutes: hour(minute(14.9))}, 16, GrowLoad},
		{"a few refused", 8, Stream{Minutes: since(throttledMinute(6, 0.01))}, 10, GrowThrottled},
		{"many refused", 8, Stream{Minutes: since(throttledMinute(6, 0.3))}, 16, GrowThrottled},
		{"all refused", 8, Stream{Minutes: since(Minute{Rejected: 1000})}, 16, GrowThrottled},
		{"a stray refusal", 8, Stream{Minutes: since(throttledMinute(7, 0.0005))}, 8, KeepFits},
		{"refused by a hot key", 8, Stream{Minutes: since(throttledMinute(1, 0.3))}, 8, KeepSkewed},
		{"refused before the last change, many times over", 8, Stream{Minutes: since(throttledMinute(4, 5)), Changes: ago(time.Minute)}, 8, KeepLag},

		{"refused less and less since a change", 8, Stream{Minutes: since(throttledMinute(7.9, 0.3), throttledMinute(7.9, 0.2)), Changes: ago(5 * time.Minute)}, 8, KeepLag},
		{"refused as much as before since a change", 8, Stream{Minutes: since(throttledMinute(7.9, 0.3), throttledMinute(7.9, 0.3)), Changes: ago(5 * time.Minute)}, 16, GrowThrottled},
		{"refused anew after a change", 8, Stream{Minutes: since(minute(7), throttledMinute(7.9, 0.3)), Changes: ago(5 * time.Minute)}, 16, GrowThrottled},
		{"refused since a change that has not had two minutes", 8, Stream{Minutes: since(throttledMinute(6, 2), throttledMinute(7.9, 0.3)), Changes: ago(150 * time.Second)}, 8, KeepLag},
		{"refused long after a change", 8, Stream{Minutes: since(throttledMinute(7.9, 0.3), throttledMinute(7.9, 0.2)), Changes: ago(20 * time.Minute)}, 16, GrowThrottled},

		{"the day's changes are used up", 4, Stream{Minutes: hour(minute(3.9)), Changes: hoursAgo(10)}, 4, KeepSpent},
		{"one of them is a day old", 4, Stream{Minutes: hour(minute(3.9)), Changes: append(ago(day), hoursAgo(8)...)}, 5, GrowLoad},

		{"readers lag, and are not refused", 4, Stream{Minutes: hour(lag)}, 4, KeepLag},
		{"readers lag and are refused", 4, Stream{Minutes: hour(lagThrottled)}, 5, GrowLag},
		{"readers still lag after a change", 4, Stream{Minutes: hour(lagThrottled), Changes: ago(10 * time.Minute)}, 4, KeepLag},

		{"too large", 8, Stream{Minutes: hour(minute(5))}, 6, Shrink},
		{"much too large", 8, Stream{Minutes: hour(minute(0.5))}, 4, Shrink},
		{"an odd count", 5, Stream{Minutes: hour(minute(0.5))}, 3, Shrink},
		{"not worth a change", 8, Stream{Minutes: hour(minute(5.5))}, 8, KeepFits},
		{"too large, changed lately", 8, Stream{Minutes: hour(minute(2)), Changes: ago(45 * time.Minute)}, 8, KeepFits},
		{"too large for a while only", 8, Stream{Minutes: since(append(slices.Repeat([]Minute{minute(7)}, 40), slices.Repeat([]Minute{minute(2)}, 20)...)...)}, 8, KeepFits},
		{"too large, with metrics of a while only", 8, Stream{Minutes: since(slices.Repeat([]Minute{minute(2)}, 20)...)}, 8, KeepFits},
		{"too large, with refusals lately", 8, Stream{Minutes: since(append([]Minute{throttledMinute(4, 0.1)}, slices.Repeat([]Minute{minute(3)}, 30)...)...)}, 8, KeepLag},
		{"too large, few changes left, little to save", 9, Stream{Minutes: hour(minute(5.4)), Changes: hoursAgo(7)}, 9, KeepFits},
		{"too large, few changes left, half to save", 8, Stream{Minutes: hour(minute(3)), Changes: hoursAgo(7)}, 4, Shrink},
		{"too large, changes left for growing only", 8, Stream{Minutes: hour(minute(2)), Changes: hoursAgo(8)}, 8, KeepSaving},
		{"at the minimum", 2, Stream{Minutes: hour(minute(0.1))}, 2, KeepFits},
		{"above a maximum that was lowered", 20, Stream{Minutes: hour(minute(2))}, 16, Shrink},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Default()
			p.MinShards, p.MaxShards = 2, 16
			c.s.Shards, c.s.Active = c.shards, true
			d := p.Plan(noon, c.s)
			if d.Shards != c.want || d.Reason != c.reason || d.Detail == "" {
				t.Errorf("got %+v, want %d %s", d, c.want, c.reason)
			}
			c.s.Active = false
			if d := p.Plan(noon, c.s); d.Shards != c.shards {
				t.Errorf("while the stream is being changed: %+v", d)
			}
		})
	}
}

// A rise is climbed in steps that last, and nothing is given up that the rise will need.
func TestPlan_LooksAhead(t *testing.T) {
	rise := func(from, to float64) []Minute {
		var minutes []Minute
		for i := range 60 {
			minutes = append(minutes, minute(from+(to-from)*float64(i)/59))
		}
		return since(minutes...)
	}
	p := Default()
	// 0.9 shards an hour more: in two hours the load fills 9.6.
	if d := p.Plan(noon, Stream{Shards: 8, Active: true, Minutes: rise(6.9, 7.8)}); d.Shards != 12 || d.Reason != GrowLoad {
		t.Errorf("a rise: %+v", d)
	}
	if d := p.Plan(noon, Stream{Shards: 8, Active: true, Minutes: hour(minute(7.8))}); d.Shards != 10 {
		t.Errorf("no rise: %+v", d)
	}
	if d := p.Plan(noon, Stream{Shards: 16, Active: true, Minutes: rise(6.9, 7.8)}); d.Shards != 11 || d.Reason != Shrink {
		t.Errorf("too large for what the rise will need: %+v", d)
	}
}

func TestHistory_IsReadAsItIsWritten(t *testing.T) {
	changes := []time.Time{noon.Add(-25 * time.Hour), noon.Add(-23 * time.Hour).Truncate(time.Second), noon.Add(-time.Minute)}
	value := FormatHistory(changes[:2], changes[2], 4)
	got, err := ParseHistory(value, 8, noon)
	if err != nil || !slices.EqualFunc(got, changes[1:], time.Time.Equal) {
		t.Errorf("%q gives %v, %v", value, got, err)
	}
	if got, err := ParseHistory("", 8, noon); got != nil || err != nil {
		t.Errorf("nothing gives %v, %v", got, err)
	}
}

func TestHistory_CountsAnAttemptOnceTheShardsHaveChanged(t *testing.T) {
	value := FormatHistory(nil, noon, 4)
	for shards, want := range map[int]int{4: 0, 5: 1, 8: 1, 2: 1} {
		// The clock of the run that reads is behind.
		if got, err := ParseHistory(value, shards, noon.Add(-time.Second)); err != nil || len(got) != want {
			t.Errorf("with %d shards %q has the changes %v, %v", shards, value, got, err)
		}
	}
}

func TestHistory_FitsATag(t *testing.T) {
	value := FormatHistory(hoursAgo(23), noon, 10_000)
	if len(value) > 256 || strings.Trim(value, "0123456789 =") != "" { // Kinesis Data Streams Developer Guide, "Tag restrictions"
		t.Errorf("%d characters: %q", len(value), value)
	}
	if got, _ := ParseHistory(value, 1, noon); len(got) != HistoryCapacity || !got[len(got)-1].Equal(noon.Truncate(time.Second)) {
		t.Errorf("%d changes are left, the last of %v", len(got), got[len(got)-1])
	}
}

func TestHistory_KeepsWhatItCanRead(t *testing.T) {
	// The second is noon, the third far ahead.
	got, err := ParseHistory("yesterday 1772452800 99999999999 1772452800=some", 4, noon)
	if err == nil || !strings.Contains(err.Error(), "yesterday") || !strings.Contains(err.Error(), "=some") || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}
