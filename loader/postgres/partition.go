package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

const (
	// Kinesis keeps records for 365 days at most (Amazon Kinesis Data Streams Developer Guide, "Change the data retention period").
	// Rows with other times of arrival go to the default partition, so that whatever they are, they cannot make partitions without
	// end.
	oldestDay = 366 * 24 * time.Hour
	newestDay = 24 * time.Hour
)

// missingDays are days whose partitions have to be made before their rows are written. Making them in the same transaction would keep
// others from reading the table until it ends.
type missingDays struct{ days map[time.Time]bool }

func (m *missingDays) Error() string { return fmt.Sprintf("%d days have no partition", len(m.days)) }

// add adds a day, if it has no partition and should have one.
func (m *missingDays) add(day time.Time, w *write) {
	age := time.Since(day)
	if w.known == nil || w.known[w.d.ddl.Day(day)] || age > oldestDay || age < -newestDay {
		return
	}
	if m.days == nil {
		m.days = make(map[time.Time]bool)
	}
	m.days[day] = true
}

// addRanges adds the days on which the records of batches arrived, as far as the batches say.
func (m *missingDays) addRanges(batches []checkpoint.Batch, w *write) {
	for _, b := range batches {
		for _, r := range b.Ranges {
			first := r.FirstArrival
			if oldest := time.Now().Add(-oldestDay); first.Before(oldest) {
				first = oldest
			}
			for day := dayOf(first); !r.FirstArrival.IsZero() && !day.After(r.LastArrival); day = day.Add(24 * time.Hour) {
				m.add(day, w)
				if day.After(time.Now()) {
					break
				}
			}
		}
	}
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// partitions returns the names of the partitions that need not be made; nil if none are made at all.
func (s *state) partitions() map[string]bool {
	if !s.d.Daily || !s.partitioned {
		return nil
	}
	known := make(map[string]bool, len(s.days))
	for _, name := range s.days {
		known[name] = true
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	maps.Copy(known, s.d.covered)
	return known
}

// Errors of a day whose rows have a place already.
const (
	overlaps  = "42P17" // another partition has the day, such as one that the table's owner made for the month
	inDefault = "23514" // the default partition has rows of the day
	exists    = "42P07" // another loader was first, or the owner has detached the partition
	appeared  = "23505" // another loader was first, at the same moment
	typed     = "42710" // the same, noticed by the name of the partition's row type
)

// Care implements loader.Caretaker: it makes the partition for tomorrow. Adding one waits for those who read the default partition
// (PostgreSQL manual, ALTER TABLE ... ATTACH PARTITION), and a report or a dump may run over midnight, while rows of the new day
// wait. The day before there is time to try again.
func (d *Table) Care(ctx context.Context) error {
	session, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	s := &state{d: d}
	if err := session.readRelation(ctx, &s.relation); err != nil {
		return err
	}
	known := s.partitions()
	tomorrow := dayOf(time.Now()).Add(24 * time.Hour)
	if known == nil || known[d.ddl.Day(tomorrow)] {
		return nil
	}
	return s.addDays(ctx, &missingDays{days: map[time.Time]bool{tomorrow: true}}, known)
}

// addDays makes the partitions of days, and adds them to those that are known.
func (s *state) addDays(ctx context.Context, m *missingDays, known map[string]bool) error {
	if len(m.days) == 0 {
		return nil
	}
	session, err := s.d.open(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	for _, day := range slices.SortedFunc(maps.Keys(m.days), time.Time.Compare) {
		name := s.d.ddl.Day(day)
		process, err := session.begin(ctx, alterTimeout)
		if err != nil {
			return err
		}
		f := fence{d: s.d, process: process}
		stop := f.watch(ctx)
		f.begin()
		_, err = session.run(ctx, append(s.d.ddl.AddDay(day), "COMMIT")...)
		stop()
		if isCode(err, overlaps, inDefault, exists, appeared, typed) {
			_, err = session.run(ctx, "ROLLBACK")
			s.d.mu.Lock()
			s.d.covered[name] = true
			s.d.mu.Unlock()
		}
		if err != nil {
			return fmt.Errorf("make the partition %s: %w", name, err)
		}
		known[name] = true
	}
	return nil
}
