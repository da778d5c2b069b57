package pgddl

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Partition returns the name of a partition, or of whatever else belongs to the table, with an ending.
func (t Table) Partition(ending string) string { return shortened(t.Name, ending) }

// shortened returns name_ending. A name that would be too long is cut, with a part that depends on what was cut off.
func shortened(name, ending string) string {
	if full := name + "_" + ending; len(full) <= maxName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	mark := "_" + hex.EncodeToString(sum[:4]) + "_" + ending
	return name[:maxName-len(mark)] + mark
}

// Day returns the name of the partition for the day of a time in UTC.
func (t Table) Day(at time.Time) string { return t.Partition(at.UTC().Format("20060102")) }

// AddDay returns the statements that add the partition for the day of a time in UTC. Adding a table by ATTACH lets others write to
// the table meanwhile, unlike CREATE TABLE ... PARTITION OF (PostgreSQL manual, "Partition Maintenance").
func (t Table) AddDay(at time.Time) []string {
	from := at.UTC().Truncate(24 * time.Hour)
	bound := func(t time.Time) string { return Literal(t.Format("2006-01-02 15:04:05+00")) }
	name := t.Relation(t.Day(at))
	return []string{
		"CREATE TABLE " + name + " (LIKE " + t.Relation(t.Name) + " INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)",
		"ALTER TABLE " + t.Relation(t.Name) + " ATTACH PARTITION " + name + " FOR VALUES FROM (" + bound(from) + ") TO (" + bound(from.Add(24*time.Hour)) + ")",
	}
}
