package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/writers/jsonl"
)

// backedUp gives a pipeline a backup, with a folder for each hour.
func backedUp(tb testing.TB) func(*Parts) {
	format, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendBackupLine(dst, r), nil }})
	if err != nil {
		tb.Fatal(err)
	}
	return func(p *Parts) {
		p.Backup = &Backup{Format: format, Partition: func(t time.Time) string { return "backup/" + t.UTC().Format("15") + "/" }}
	}
}

// withRaw adds the Kinesis records of the intake's user records, each once.
func withRaw(in Intake) Intake {
	for i, r := range in.Records {
		if i > 0 && in.Records[i-1].SequenceNumber == r.SequenceNumber {
			continue
		}
		in.Raw = append(in.Raw, record.Record{SequenceNumber: r.SequenceNumber, PartitionKey: "kept", Arrival: r.Arrival, Data: []byte("as " + r.SequenceNumber + " came")})
	}
	return in
}

// kept returns the sequence numbers in the backup files, in their order, each with its shard.
func (w *world) kept(keys []string) (sequences []string) {
	w.t.Helper()
	for _, key := range keys {
		for line := range strings.Lines(string(w.bucket.objects[key].body)) {
			r, err := record.ParseBackupLine([]byte(line))
			if err != nil {
				w.t.Fatalf("%s: %v", key, err)
			}
			if want := "as " + r.SequenceNumber + " came"; string(r.Data) != want {
				w.t.Errorf("%s: got %q, want %q", key, r.Data, want)
			}
			sequences = append(sequences, r.SequenceNumber)
		}
	}
	return sequences
}

func TestBackup_IsInTheBatchOfItsRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a", backedUp(t))
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		in := withRaw(intake("x", 1, 6))
		in.Records[1].Data = []byte("not json")
		in.Records[2].PartitionKey = "!"
		in.Records = slices.Delete(in.Records, 3, 5) // a transform has dropped them
		w.append(c, in)
		none := withRaw(intake("x", 7, 7))
		none.Records = nil // and all of an answer
		w.append(c, none)
		time.Sleep(w.limits.Interval - time.Second)
		synctest.Wait()
		want(t, "objects before the commit", len(w.bucket.keys("")), 0)
		time.Sleep(2 * time.Second)
		synctest.Wait()

		batches := w.manifests()
		want(t, "batches", len(batches), 1)
		want(t, "end of the range", batches[0].Ranges[0].End, "100007")
		kinds := map[string]int64{}
		for _, f := range batches[0].Files {
			kind := fmt.Sprintf("data %t error %t backup %t", f.Data(), f.Error, f.Backup)
			kinds[kind+" "+f.Partition] += f.Rows
		}
		for kind, rows := range map[string]int64{
			"data true error false backup false data/x/":                   2,
			"data false error true backup false errors/processing-failed/": 2,
			"data false error false backup true backup/00/":                7,
		} {
			want(t, "rows of "+kind, kinds[kind], rows)
		}
		want(t, "kinds of files", len(kinds), 3)
		want(t, "kept", fmt.Sprint(w.kept(w.bucket.keys("backup/"))), "[100001 100002 100003 100004 100005 100006 100007]")
		m := p.parts.Metrics
		want(t, "records in backups", value(t, m.BackupRecords), 7)
		want(t, "records delivered", value(t, m.Records.WithLabelValues("delivered")), 2)
		want(t, "backup files", value(t, m.Files.WithLabelValues("backup", "interval")), 1)
		status := p.Status()
		want(t, "totals", fmt.Sprint(status.Totals.Records, status.Totals.ErrorRecords, status.Totals.BackupRecords), "2 2 7")
		var bytes int64
		for _, f := range status.Published {
			want(t, f.Key+" is a backup", f.Backup, strings.HasPrefix(f.Key, "backup/"))
			if !f.Backup {
				bytes += f.Bytes
			}
		}
		want(t, "bytes of data and error files", value(t, m.BytesWritten), float64(bytes))
	})
}

// Nothing of a batch that is not committed is visible, neither its data nor its backup, and the shard's records are in the
// backup of the batch that replaces it, once.
func TestBackup_OfABatchThatIsDroppedIsNeverVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a", backedUp(t))
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, withRaw(intake("x", 1, 3)))
		want(t, "open files", len(p.Status().Open), 2)
		w.acquire("shard-1", "b")
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "objects", len(w.bucket.keys("")), 0)
		want(t, "uploads", w.bucket.pending(), 0)
		stop()

		p, stop = w.worker("b", backedUp(t))
		defer stop()
		w.append(p.Open(w.acquire("shard-1", "b")), withRaw(intake("x", 1, 3)))
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "kept", fmt.Sprint(w.kept(w.bucket.keys("backup/"))), "[100001 100002 100003]")
	})
}

// Backups follow the other files: they do not keep a batch open, and they are closed at FILE_SIZE as all are.
func TestBackup_FollowsTheOtherFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a", backedUp(t))
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, withRaw(intake("x", 1, 2400))) // as much as FileBytes
		synctest.Wait()
		want(t, "data files before any time has passed", len(w.bucket.keys("data/")), 1)
		want(t, "backup files with it", len(w.bucket.keys("backup/")), 1)

		in := withRaw(intake("x", 2401, 2402))
		in.Raw[0].Data = []byte("as 102401 came")
		for i := range in.Raw {
			in.Raw[i].PartitionKey = strings.Repeat("k", 2<<20)
		}
		w.append(c, in)
		open := p.Status().Open
		want(t, "open files: the backup was closed by its size", len(open) == 1 && !open[0].Backup, true)
		in = withRaw(intake("x", 2403, 2403))
		in.Raw[0].Arrival = in.Raw[0].Arrival.Add(time.Hour)
		w.append(c, in)
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		want(t, "hours with backups", len(w.bucket.keys("backup/00/")), 2)
		want(t, "the next hour", len(w.bucket.keys("backup/01/")), 1)
	})
}

func TestBackup_SplitsAnAnswerByTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, stop := w.worker("a", backedUp(t))
		defer stop()
		in := withRaw(intake("x", 1, 6))
		for i := range in.Raw {
			in.Raw[i].Arrival = in.Raw[0].Arrival.Add(time.Duration(i/2) * time.Hour)
		}
		w.append(p.Open(w.acquire("shard-1", "a")), in)
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		for hour, kept := range map[string]string{"00": "[100001 100002]", "01": "[100003 100004]", "02": "[100005 100006]"} {
			want(t, "kept of hour "+hour, fmt.Sprint(w.kept(w.bucket.keys("backup/"+hour))), kept)
		}
	})
}

// Batches are cut between Kinesis records, wherever user records are: each record that came is in the batch of its range, also
// those that have no user records left.
func TestBackup_IsCutWithItsBatch(t *testing.T) {
	const aggregates, size = 200, 5
	synctest.Test(t, func(t *testing.T) {
		w := newWideWorld(t)
		w.crowd = 50 << 10
		in := withRaw(wide(aggregates*size, size))
		in.Records = slices.DeleteFunc(in.Records, func(r record.Record) bool {
			return strings.HasSuffix(r.SequenceNumber, "7") || strings.HasSuffix(r.SequenceNumber, "8") || r.SubSequence == 3
		})
		p, stop := w.worker("a", backedUp(t))
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		w.append(c, in)
		if err := c.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		batches := w.manifests()
		if len(batches) < 3 {
			t.Errorf("%d batches, want several", len(batches))
		}
		var all []string
		for _, b := range batches {
			for _, f := range b.Files {
				if !f.Backup {
					continue
				}
				for _, sequence := range w.kept([]string{f.Key}) {
					if r := b.Ranges[0]; !r.Contains(sequence) {
						t.Errorf("the backup of batch %s has record %s, its range is (%s, %s]", b.ID, sequence, r.Start, r.End)
					}
					all = append(all, sequence)
				}
			}
		}
		want(t, "records", len(all), aggregates)
		want(t, "in their order, each once", slices.IsSorted(all) && len(slices.Compact(all)) == aggregates, true)
	})
}

func TestIntake_SplitsWhatCameWithItsUserRecords(t *testing.T) {
	in := withRaw(wide(10, 2))  // 100000 to 100004
	in.Records = in.Records[2:] // 100000 was dropped
	for n, raw := range map[int]int{2: 2, 4: 3, 6: 4, 8: 5} {
		head, rest := in.split(n)
		want(t, fmt.Sprint("raw records of the head at ", n), len(head.Raw), raw)
		want(t, fmt.Sprint("raw records of the rest at ", n), len(rest.Raw), 5-raw)
	}
	in.Records = slices.Delete(in.Records, 2, 4) // and so was 100002
	head, rest := in.split(2)
	want(t, "raw records of the head", len(head.Raw), 2)
	want(t, "raw records of the rest, which begins with a dropped one", rest.Raw[0].SequenceNumber, "100002")
}

// keptTwiceOrNot counts the records of a storm that are not in its backups, and those that are there more than once.
func (s *storm) keptTwiceOrNot() (lost, double int) {
	seen := make(map[string]int)
	for _, line := range s.bucket.lines("backup/") {
		var r struct{ ShardID, SequenceNumber string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("line %q: %v", line, err)
		}
		seen[fmt.Sprint(r.ShardID, "/", place(checkpoint.Position(r.SequenceNumber)))]++
	}
	return s.tally(seen)
}

// Records of which nothing is delivered are kept all the same, and do not have each answer committed by itself.
func TestBackup_KeepsWhatIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.copied = []string{"postgres://db.example.com/lake/trips"}
		p, stop := w.worker("a", backedUp(t))
		defer stop()
		c := p.Open(w.acquire("shard-1", "a"))
		for n := range 5 {
			in := withRaw(intake("x", 10*n, 10*n+9))
			in.Records = nil
			w.append(c, in)
			synctest.Wait()
		}
		want(t, "checkpoint before the interval", w.checkpoint("shard-1"), checkpoint.TrimHorizon)
		time.Sleep(w.limits.Interval)
		synctest.Wait()
		batches := w.manifests()
		want(t, "batches", len(batches), 1)
		want(t, "files", len(batches[0].Files), 1)
		want(t, "records kept", len(w.kept(w.bucket.keys("backup/"))), 50)
		want(t, "records delivered", batches[0].Ranges[0].Records, 0)
		want(t, "tables", len(batches[0].Tables), 0)
	})
}

// Kinesis takes empty payloads, of which nothing is in a backup of payloads alone. Their shard goes on.
func TestBackup_OfEmptyPayloadsHoldsNobodyUp(t *testing.T) {
	for _, compression := range []jsonl.Compression{jsonl.None, jsonl.Gzip, jsonl.Zip, jsonl.Snappy, jsonl.HadoopSnappy} {
		t.Run(string(compression), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				format, err := jsonl.New(jsonl.Config{
					Append: func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendPayloads(dst, r), nil }, Compression: compression, Labels: jsonl.AsFirehose,
				})
				if err != nil {
					t.Fatal(err)
				}
				p, stop := w.worker("a", func(p *Parts) { backedUp(t)(p); p.Backup.Format = format })
				defer stop()
				c := p.Open(w.acquire("shard-1", "a"))
				in := withRaw(intake("x", 1, 2))
				for i := range in.Raw {
					in.Raw[i].Data, in.Records[i].Data = nil, nil
				}
				w.append(c, in)
				time.Sleep(w.limits.Interval)
				synctest.Wait()
				want(t, "checkpoint", w.checkpoint("shard-1"), "100002")
				want(t, "error files", len(w.bucket.keys("errors/")), 1)
				want(t, "uploads that nobody ends", w.bucket.pending(), 0)
				if files := len(w.bucket.keys("backup/")); compression == jsonl.None && files > 0 {
					t.Errorf("%d backup files without a byte", files)
				}
			})
		})
	}
}

// The work of a shard with and without a backup, in memory and without compression.
func BenchmarkBackup(b *testing.B) {
	raw, err := jsonl.New(jsonl.Config{Append: func(dst []byte, r *record.Record) ([]byte, error) { return record.AppendPayloads(dst, r), nil }, Labels: jsonl.AsFirehose})
	if err != nil {
		b.Fatal(err)
	}
	hours, err := prefix.NewBackup("backup/", nil)
	if err != nil {
		b.Fatal(err)
	}
	lines := func(p *Parts) { backedUp(b)(p); p.Backup.Partition = hours.Partition }
	for _, c := range []struct {
		name  string
		plant func(*Parts)
	}{
		{"none", func(*Parts) {}},
		{"raw", func(p *Parts) { lines(p); p.Backup.Format = raw }},
		{"jsonl", lines},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(&testing.T{})
			w.limits = Limits{FileBytes: 1 << 40, Bytes: 1 << 40, Interval: time.Hour}
			p, stop := w.worker("a", c.plant)
			defer stop()
			cursor := p.Open(w.acquire("shard-1", "a"))
			in := withRaw(intake("x", 1, 1000))
			for i := range in.Records {
				in.Raw[i].Data = in.Records[i].Data
			}
			if c.name == "none" {
				in.Raw = nil
			}
			b.SetBytes(int64(len(in.Records) * len(in.Records[0].Data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := cursor.Append(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
