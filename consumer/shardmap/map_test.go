package shardmap

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// listing makes shards from ids; "c<a,b" is c with the parents a and b, "c!" is a closed one.
func listing(ids string) []Shard {
	var shards []Shard
	for _, id := range strings.Fields(ids) {
		id, parents, _ := strings.Cut(id, "<")
		s := Shard{ID: strings.TrimSuffix(id, "!"), Closed: strings.HasSuffix(id, "!")}
		if parents != "" {
			s.Parents = strings.Split(parents, ",")
		}
		shards = append(shards, s)
	}
	return shards
}

func TestMap_AbsenceTakesThreeListingsInARow(t *testing.T) {
	for _, test := range []struct {
		name     string
		listings []string
		shard    string
		absent   bool
		since    int // listing that first left it out, from 0
	}{
		{"nothing listed yet", nil, "a", false, 0},
		{"listed", []string{"a", "a", "a"}, "a", false, 0},
		{"one gap", []string{"a b", "b", "a b"}, "a", false, 0},
		{"two gaps at the end", []string{"a b", "b", "b"}, "a", false, 0},
		{"two gaps, twice", []string{"a b", "b", "b", "a b", "b", "b"}, "a", false, 0},
		{"three gaps", []string{"a b", "b", "b", "b"}, "a", true, 1},
		{"three gaps after one", []string{"a b", "b", "a b", "b", "b", "b"}, "a", true, 3},
		{"back after three gaps", []string{"a b", "b", "b", "b", "a b"}, "a", false, 0},
		{"never listed, two listings", []string{"b", "b"}, "a", false, 0},
		{"never listed, three listings", []string{"b", "b", "b"}, "a", true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMap()
			start := time.Now()
			for n, l := range test.listings {
				m.Update(start.Add(time.Duration(n)*time.Second), listing(l))
			}
			since, absent := m.Absent(test.shard)
			if absent != test.absent {
				t.Fatalf("absent = %v, want %v", absent, test.absent)
			}
			if want := start.Add(time.Duration(test.since) * time.Second); absent && !since.Equal(want) {
				t.Errorf("absent since listing %v, want %d", since.Sub(start), test.since)
			}
		})
	}
}

func TestMap_AnExpectedShardIsAbsentOnlyByListingsSinceThen(t *testing.T) {
	m := NewMap()
	start := time.Now()
	list := func(n int, ids string) (news bool) {
		return m.Update(start.Add(time.Duration(n)*time.Second), listing(ids))
	}
	for n := range 5 {
		list(n, "a")
	}
	if !m.Expect([]string{"a", "young", "lost"}) || m.Expect([]string{"a", "young", "lost"}) {
		t.Error("unknown shards are news once")
	}
	if !m.Uncertain() {
		t.Error("certain of shards that no listing has shown")
	}
	for _, id := range []string{"a", "young", "lost"} {
		if _, absent := m.Absent(id); absent {
			t.Errorf("%s is absent before any listing could show it", id)
		}
	}
	if _, known := m.Shard("young"); known {
		t.Error("a shard is known that no listing has shown")
	}
	if listed, _ := m.Listed(); len(listed) != 1 {
		t.Errorf("listed = %+v", listed)
	}
	if !list(5, "a young") {
		t.Error("an expected shard that appears is not news")
	}
	list(6, "a young")
	if _, absent := m.Absent("lost"); absent || !m.Uncertain() {
		t.Errorf("after two listings: absent %v, uncertain %v", absent, m.Uncertain())
	}
	list(7, "a young")
	if since, absent := m.Absent("lost"); !absent || !since.Equal(start.Add(5*time.Second)) {
		t.Errorf("after three listings: absent %v since %v", absent, since.Sub(start))
	}
	if m.Uncertain() {
		t.Error("uncertain after three listings")
	}
}

func TestMap_TellsNewsAndDoubts(t *testing.T) {
	type step struct {
		listing         string
		news, uncertain bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a stream at rest", []step{{"a b", true, false}, {"a b", false, false}, {"a b", true, false}, {"a b", false, false}}},
		{"a shard closes, a child comes", []step{{"a", true, false}, {"a!", true, false}, {"a! b<a", true, false}, {"a! b<a", false, false}}},
		{"a shard goes", []step{{"a b", true, false}, {"b", false, true}, {"b", true, true}, {"b", true, false}, {"b", false, false}, {"a b", true, false}}},
		{"a parent that was never listed", []step{{"b<a", true, true}, {"b<a", false, true}, {"b<a", true, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMap()
			if !m.Uncertain() {
				t.Error("certain before the first listing")
			}
			for n, s := range test.steps {
				news := m.Update(time.Now(), listing(s.listing))
				if news != s.news || m.Uncertain() != s.uncertain {
					t.Errorf("listing %d: news %v, uncertain %v; want %v, %v", n, news, m.Uncertain(), s.news, s.uncertain)
				}
			}
		})
	}
}

func TestMap_KeepsWhatItKnewOfAShardThatWasLeftOut(t *testing.T) {
	m := NewMap()
	at := time.Now()
	m.Update(at, listing("a b<a"))
	m.Update(at.Add(time.Second), listing("a"))
	if s, ok := m.Shard("b"); !ok || fmt.Sprint(s.Parents) != "[a]" {
		t.Errorf("shard b = %+v, %v", s, ok)
	}
	listed, when := m.Listed()
	if len(listed) != 1 || listed[0].ID != "a" || !when.Equal(at.Add(time.Second)) {
		t.Errorf("listed = %+v at %v", listed, when)
	}
}
