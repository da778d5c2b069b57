package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/operate/audit"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers/jsonl"
	"aws-streaming-pipeline/writers/layout"
)

// listed are the kinds of all findings and warnings, in order, each once.
func listed(r *audit.Report) []audit.Kind {
	var kinds []audit.Kind
	for _, f := range slices.Concat(r.Findings, r.Warnings) {
		kinds = append(kinds, f.Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func text(t *testing.T, r *audit.Report) string {
	t.Helper()
	var b bytes.Buffer
	must(t, r.WriteText(&b))
	return b.String()
}

func wantSound(t *testing.T, r *audit.Report) {
	t.Helper()
	if !r.Sound || len(r.Findings)+len(r.Warnings) > 0 || len(r.Counts) > 0 {
		t.Errorf("not sound:\n%s", text(t, r))
	}
}

func TestRun_FindsNothingInAGoodBucket(t *testing.T) {
	for name, s := range map[string]*site{
		"lines":              goodSite(t, lines(t, jsonl.None)),
		"lines in gzip":      goodSite(t, lines(t, jsonl.Gzip)),
		"lines in Zstandard": goodSite(t, lines(t, jsonl.Zstd)),
		"Parquet":            goodSite(t, columns(t)),
	} {
		t.Run(name, func(t *testing.T) {
			wantSound(t, s.audit(nil))
			r := s.audit(deep)
			wantSound(t, r)
			// 120 and 41 Kinesis records; 7, 14, 21 ..., except the faulty ones, hold two user records each.
			const records = 120 + 16 + 41 + 5
			if r.Batches != 4 || r.Records != records || r.RowsRead != records || len(r.Shards) != 2 {
				t.Errorf("%d batches, %d records, %d rows read, %d shards; want 4, %d twice, 2\n%s",
					r.Batches, r.Records, r.RowsRead, len(r.Shards), records, text(t, r))
			}
			if one, two := r.Shards[0], r.Shards[1]; one.Start != checkpoint.TrimHorizon || one.End != checkpoint.Position(sequence(120)) ||
				one.Ranges != 4 || two.End != checkpoint.ShardEnd || two.Ranges != 2 {
				t.Errorf("shards are %+v", r.Shards)
			}
		})
	}
}

// Each fault is planted in a good bucket, and must be found and named, without other findings.
func TestRun_FindsAndNames(t *testing.T) {
	for _, test := range []struct {
		name     string
		deep     bool
		plant    func(s *site) (names []string)
		want     []audit.Kind
		warnings bool // there are warnings alone
	}{
		{"a file that was deleted", false, func(s *site) []string {
			key := s.key("data/y/")
			s.remove(key)
			return []string{key, nth(2)}
		}, []audit.Kind{audit.MissingFile}, false},
		{"a file that was cut off", false, func(s *site) []string {
			key := s.key("data/y/")
			s.truncate(key)
			return []string{key, "bytes"}
		}, []audit.Kind{audit.WrongSize}, false},
		{"a file whose content was replaced", false, func(s *site) []string {
			key := s.key("data/y/")
			body, metadata := s.get(key)
			s.put(key, bytes.Replace(body, []byte(`"n":31`), []byte(`"n":99`), 1), metadata)
			return []string{key, "ETag"}
		}, []audit.Kind{audit.Replaced}, false},
		{"a file that somebody else has written", false, func(s *site) []string {
			key := s.key("data/y/")
			body, _ := s.get(key)
			s.put(key, body, nil)
			return []string{key, `batch ""`}
		}, []audit.Kind{audit.ForeignFile}, false},
		{"a manifest that was removed from the middle", false, func(s *site) []string {
			key := s.key("data/y/")
			s.remove(s.key("manifests/", nth(2)))
			return []string{"shard-1", "(" + sequence(30) + ", " + sequence(60) + "]", key}
		}, []audit.Kind{audit.Gap, audit.Unnamed}, false},
		{"a manifest that was removed from the end", false, func(s *site) []string {
			s.remove(s.key("manifests/", nth(4)))
			return []string{s.key("data/z/"), nth(4), "outbox"}
		}, []audit.Kind{audit.Unnamed}, true},
		{"a batch that was delivered twice", false, func(s *site) []string {
			s.editManifest(nth(2), func(m *layout.Manifest) { m.Batch = strings.Replace(m.Batch, nth(2), nth(902), 1) })
			return []string{"shard-1", nth(902), nth(2) + " contain the same records"}
		}, []audit.Kind{audit.ForeignFile, audit.Overlap}, false},
		{"a manifest that was copied", false, func(s *site) []string {
			body, metadata := s.get(s.key("manifests/", nth(2)))
			s.put("manifests/2026/03/14/10/copy.json", body, metadata)
			return []string{"copy.json", nth(2) + ".json"}
		}, []audit.Kind{audit.BadManifest}, false},
		{"a manifest that is not JSON", false, func(s *site) []string {
			s.put("manifests/2026/03/14/10/other.json", []byte("{"), nil)
			return []string{"other.json"}
		}, []audit.Kind{audit.BadManifest}, false},
		{"a gap inside a shard", false, func(s *site) []string {
			s.editManifest(nth(3), func(m *layout.Manifest) { m.Ranges[0].Start = checkpoint.Position(sequence(65)) })
			return []string{"shard-1", "(" + sequence(60) + ", " + sequence(65) + "]", nth(3)}
		}, []audit.Kind{audit.Gap}, false},
		{"ranges that overlap", false, func(s *site) []string {
			s.editManifest(nth(3), func(m *layout.Manifest) { m.Ranges[0].Start = checkpoint.Position(sequence(55)) })
			return []string{"shard-1", nth(3), nth(2)}
		}, []audit.Kind{audit.Overlap}, false},
		{"a number of rows that was changed in the manifest", false, func(s *site) []string {
			s.editManifest(nth(2), func(m *layout.Manifest) { m.Files[0].Rows++ })
			return []string{nth(2), "records", "rows"}
		}, []audit.Kind{audit.WrongCount}, false},
		{"a file without its last row", true, func(s *site) []string {
			key := s.key("data/y/")
			s.change(nth(2), key, func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] })
			return []string{key, "rows, but the manifest says"}
		}, []audit.Kind{audit.WrongRows}, false},
		{"a record that is in a file twice", true, func(s *site) []string {
			key := s.key("data/y/")
			s.change(nth(2), key, func(b []byte) []byte { return append(b, b[:bytes.IndexByte(b, '\n')+1]...) })
			return []string{key, sequence(31)}
		}, []audit.Kind{audit.Double, audit.WrongRows}, false},
		{"a record in the place of another", true, func(s *site) []string {
			key := s.key("data/y/")
			s.change(nth(2), key, func(b []byte) []byte { return bytes.Replace(b, []byte(sequence(31)), []byte(sequence(32)), 1) })
			return []string{key, sequence(32)}
		}, []audit.Kind{audit.Double}, false},
		{"a record of another batch", true, func(s *site) []string {
			key := s.key("data/y/")
			s.change(nth(2), key, func(b []byte) []byte { return bytes.Replace(b, []byte(sequence(31)), []byte(sequence(30)), 1) })
			return []string{key, sequence(30)}
		}, []audit.Kind{audit.OutOfRange}, false},
		{"a row without an event id", true, func(s *site) []string {
			key := s.key("data/y/")
			s.change(nth(2), key, func(b []byte) []byte { return bytes.Replace(b, []byte(`"event_id"`), []byte(`"eventsid"`), 1) })
			return []string{key, "1 rows have no event id"}
		}, []audit.Kind{audit.Unreadable}, false},
		{"an error record that is there twice", true, func(s *site) []string {
			key := s.key("errors/", nth(2))
			s.change(nth(2), key, func(b []byte) []byte { return append(b, b[:bytes.IndexByte(b, '\n')+1]...) })
			return []string{key, sequence(40)}
		}, []audit.Kind{audit.Double, audit.WrongRows}, false},
		{"a file that no batch has written", false, func(s *site) []string {
			key := fileOf(begin.Add(40*time.Minute), 777, 0)
			s.put(key, []byte("{}\n"), nil)
			return []string{key}
		}, []audit.Kind{audit.Unnamed}, true},
		{"a file that its batch does not name", false, func(s *site) []string {
			key := fileOf(begin.Add(40*time.Minute), 2, 9)
			s.put(key, []byte("{}\n"), nil)
			return []string{key, "does not name it"}
		}, []audit.Kind{audit.Unnamed}, true},
		{"rows that a database has refused, of a batch and of none", false, func(s *site) []string {
			var keys []string
			for _, n := range []int{2, 777} {
				f, _ := layout.ParseFile(fileOf(begin.Add(40*time.Minute), n, 0))
				keys = append(keys, layout.RefusedFile("errors/trips", f.Clock, f.Batch, 0).Key())
				s.put(keys[len(keys)-1], []byte("{}\n"), nil)
			}
			return keys[1:]
		}, []audit.Kind{audit.Unnamed}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := goodSite(t, lines(t, jsonl.None))
			names := test.plant(s)
			r := s.audit(func(c *audit.Config) { c.Deep = test.deep })
			if got := listed(r); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q\n%s", got, test.want, text(t, r))
			}
			if r.Sound != test.warnings {
				t.Errorf("sound is %v\n%s", r.Sound, text(t, r))
			}
			said := text(t, r)
			for _, name := range names {
				if !strings.Contains(said, name) {
					t.Errorf("%q is not named in\n%s", name, said)
				}
			}
		})
	}
}

func TestRun_FindsDamageWithinCompressedFiles(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0xff; b[len(b)/2+1] ^= 0xff; return b }
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	for _, test := range []struct {
		name string
		site *site
		edit func([]byte) []byte
	}{
		{"gzip cut off", goodSite(t, lines(t, jsonl.Gzip)), cut},
		{"gzip with other bytes", goodSite(t, lines(t, jsonl.Gzip)), flip},
		{"Zstandard cut off", goodSite(t, lines(t, jsonl.Zstd)), cut},
		{"Parquet cut off", goodSite(t, columns(t)), cut},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.site.change(nth(2), test.site.key("data/y/"), test.edit)
			if got := listed(test.site.audit(deep)); !slices.Contains(got, audit.Unreadable) {
				t.Errorf("found %q, want %q", got, audit.Unreadable)
			}
		})
	}
}

func TestRun_FindsRecordsOfAnotherBatchInParquet(t *testing.T) {
	s := goodSite(t, columns(t))
	// The rows of batch 2 in place of those of batch 4.
	key := s.key("data/z/")
	other, _ := s.get(s.key("data/y/"))
	s.change(nth(4), key, func([]byte) []byte { return other })
	if got, want := listed(s.audit(deep)), []audit.Kind{audit.OutOfRange, audit.WrongRows}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestRun_LooksAtTheIDsOfALargeBatchInTurns(t *testing.T) {
	defer audit.SetIDsAtOnce(5)()
	s := goodSite(t, lines(t, jsonl.Gzip))
	wantSound(t, s.audit(deep))
	s = goodSite(t, lines(t, jsonl.None))
	key := s.key("data/y/")
	s.change(nth(2), key, func(b []byte) []byte {
		return bytes.Replace(b, []byte(sequence(36)), []byte(sequence(37)), 1)
	})
	r := s.audit(deep)
	if got := listed(r); !slices.Equal(got, []audit.Kind{audit.Double}) || r.Counts[audit.Double] != 1 {
		t.Errorf("found %q\n%s", got, text(t, r))
	}
}

// Some emulators count the sequence numbers of each shard from 1. The same id in two shards is two records; any further
// occurrence is a duplicate, however it is hidden.
func TestRun_KnowsRecordsOfShardsThatCountByThemselves(t *testing.T) {
	without := func(in batch.Intake, n int) batch.Intake {
		in.Records = slices.DeleteFunc(in.Records, func(r record.Record) bool { return r.SequenceNumber == sequence(n) })
		return in
	}
	for _, test := range []struct {
		name        string
		one, two    func(*site) batch.Intake
		place, with int // the row of one record is replaced by that of another
		want        []audit.Kind
		says        string
	}{
		{name: "the same numbers in both",
			one: func(s *site) batch.Intake { return s.intake("x", 1, 30) }, two: func(s *site) batch.Intake { return s.intake("x", 1, 30) }},
		{name: "some of the numbers in both",
			one: func(s *site) batch.Intake { return s.intake("x", 1, 20) }, two: func(s *site) batch.Intake { return s.intake("x", 11, 39) }},
		{name: "one three times",
			one: func(s *site) batch.Intake { return s.intake("x", 1, 30) }, two: func(s *site) batch.Intake { return s.intake("x", 1, 30) },
			place: 4, with: 5, want: []audit.Kind{audit.Double}, says: sequence(5)},
		{name: "one twice that only one shard can have",
			one: func(s *site) batch.Intake { return s.intake("x", 1, 19) }, two: func(s *site) batch.Intake { return s.intake("x", 1, 39) },
			place: 33, with: 32, want: []audit.Kind{audit.Double}, says: sequence(32)},
		{name: "one twice that both may have, in the place of one that they have not",
			one: func(s *site) batch.Intake { return without(s.intake("x", 1, 19), 15) }, two: func(s *site) batch.Intake { return s.intake("x", 1, 39) },
			place: 33, with: 15, want: []audit.Kind{audit.Double}, says: "shard-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, lines(t, jsonl.None))
			p, _ := s.worker("a")
			one, two := s.open(p, "shard-1", "a"), s.open(p, "shard-2", "a")
			must(t, two.Append(t.Context(), test.two(s)))
			s.deliver(one, test.one(s))
			if test.place > 0 {
				s.change(nth(1), s.key("data/"), func(b []byte) []byte {
					return bytes.Replace(b, []byte(sequence(test.place)), []byte(sequence(test.with)), 1)
				})
			}
			s.advance(time.Minute)
			r := s.audit(deep)
			if got := listed(r); !slices.Equal(got, test.want) || !strings.Contains(text(t, r), test.says) {
				t.Errorf("found %q, want %q naming %q\n%s", got, test.want, test.says, text(t, r))
			}
		})
	}
}

// A rewind delivers records again on purpose. Its note distinguishes it from a fault.
func TestRun_TellsARewindFromADoubleDelivery(t *testing.T) {
	for _, noted := range []bool{true, false} {
		s := goodSite(t, lines(t, jsonl.None))
		row, err := s.store.Lease(t.Context(), "shard-1")
		must(t, err)
		move := layout.Move{Shard: "shard-1", From: row.Checkpoint, To: checkpoint.Position(sequence(60)), Counter: row.Counter + 1, At: s.clock(), By: "ops"}
		if noted {
			body, err := move.Encode()
			must(t, err)
			s.put(move.Key("manifests/", "1"), body, nil)
			// A rewind that was refused and never took place.
			move.To = checkpoint.TrimHorizon
			body, err = move.Encode()
			must(t, err)
			s.put(move.Key("manifests/", "2"), body, nil)
		}
		_, err = s.store.Rewind(t.Context(), row, checkpoint.Position(sequence(60)))
		must(t, err)
		p, _ := s.worker("c")
		c := s.open(p, "shard-1", "c")
		s.deliver(c, s.intake("x", 61, 110))
		s.deliver(c, s.intake("x", 111, 150))
		s.advance(time.Minute)
		r := s.audit(deep)
		if noted {
			wantSound(t, r)
			if len(r.Moves) != 1 || r.Moves[0].To != checkpoint.Position(sequence(60)) {
				t.Errorf("moves are %+v", r.Moves)
			}
			continue
		}
		if got := listed(r); !slices.Equal(got, []audit.Kind{audit.Overlap}) || !strings.Contains(text(t, r), "as after a rewind") {
			t.Errorf("found %q\n%s", got, text(t, r))
		}
	}
}

// A note explains the jump that it describes, and no other.
func TestRun_ANoteDoesNotExcuseAnotherJump(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	row, err := s.store.Lease(t.Context(), "shard-1")
	must(t, err)
	move := layout.Move{Shard: "shard-1", From: row.Checkpoint, To: checkpoint.Position(sequence(60)), Counter: row.Counter + 1, At: s.clock(), By: "ops"}
	body, err := move.Encode()
	must(t, err)
	s.put(move.Key("manifests/", "1"), body, nil)
	_, err = s.store.Rewind(t.Context(), row, checkpoint.Position(sequence(90)))
	must(t, err)
	p, _ := s.worker("c")
	s.deliver(s.open(p, "shard-1", "c"), s.intake("x", 91, 130))
	s.advance(time.Minute)
	if got := listed(s.audit(nil)); !slices.Equal(got, []audit.Kind{audit.Overlap}) {
		t.Errorf("found %q", got)
	}
}

func TestRun_JudgesAWindow(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	s.remove(s.key("data/y/")) // of batch 2, sealed at 09:50
	at := func(hour, minute int) time.Time { return time.Date(2026, 3, 14, hour, minute, 0, 0, time.UTC) }
	for _, test := range []struct {
		name     string
		from, to time.Time
		batches  int64
		want     []audit.Kind
	}{
		{"all", time.Time{}, time.Time{}, 4, []audit.Kind{audit.MissingFile}},
		{"up to the batch", time.Time{}, at(9, 50), 1, nil},
		{"with the batch", at(9, 30), at(9, 51), 1, []audit.Kind{audit.MissingFile}},
		{"behind the batch", at(9, 51), time.Time{}, 2, nil},
		{"before all", time.Time{}, at(8, 0), 0, nil},
		{"behind all", at(20, 0), at(21, 0), 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.audit(func(c *audit.Config) { c.From, c.To = test.from, test.to })
			if got := listed(r); !slices.Equal(got, test.want) || r.Batches != test.batches {
				t.Errorf("found %q in %d batches, want %q in %d\n%s", got, r.Batches, test.want, test.batches, text(t, r))
			}
		})
	}
}

// Clocks of workers differ: a batch in the middle of the chain may have a time outside the window.
func TestRun_JoinsTheChainWithBatchesJustOutsideOfTheWindow(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	s.editManifest(nth(3), func(m *layout.Manifest) { m.Created = time.Date(2026, 3, 14, 9, 5, 0, 0, time.UTC) })
	s.remove(s.key("manifests/2026/03/14/10/", nth(3)))
	r := s.audit(func(c *audit.Config) { c.From = time.Date(2026, 3, 14, 9, 45, 0, 0, time.UTC) })
	if !r.Sound || r.Batches != 2 {
		t.Errorf("%d batches\n%s", r.Batches, text(t, r))
	}
}

// hiding hides a key from the first listing that would show it, as if it were written just after the listing passed.
type hiding struct {
	*s3.Client
	key string
	hit bool
}

func (h *hiding) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, o ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	out, err := h.Client.ListObjectsV2(ctx, in, o...)
	if err != nil || h.hit {
		return out, err
	}
	before := len(out.Contents)
	out.Contents = slices.DeleteFunc(out.Contents, func(o types.Object) bool { return *o.Key == h.key })
	h.hit = len(out.Contents) < before
	return out, nil
}

func TestRun_LooksAgainForManifestsThatAppearWhileItReads(t *testing.T) {
	for _, id := range []string{nth(2), nth(4)} {
		s := goodSite(t, lines(t, jsonl.None))
		h := &hiding{Client: s.client, key: s.key("manifests/", id)}
		r := s.audit(func(c *audit.Config) { c.Bucket.API = h })
		wantSound(t, r)
		if !h.hit || r.Batches != 4 {
			t.Errorf("manifest hidden: %v, %d batches", h.hit, r.Batches)
		}
	}
}

// broken fails for one key.
type broken struct {
	*s3.Client
	part string
	hits int
}

var errPlanted = errors.New("planted fault")

func (b *broken) fails(key *string) bool {
	if strings.Contains(*key, b.part) {
		b.hits++
		return true
	}
	return false
}

func (b *broken) HeadObject(ctx context.Context, in *s3.HeadObjectInput, o ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	if b.fails(in.Key) {
		return nil, errPlanted
	}
	return b.Client.HeadObject(ctx, in, o...)
}

func (b *broken) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if b.fails(in.Key) {
		return nil, errPlanted
	}
	return b.Client.GetObject(ctx, in, o...)
}

func TestRun_DoesNotCallSoundWhatItCouldNotCheck(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	for _, part := range []string{"data/y/", nth(3) + ".json"} {
		for _, deep := range []bool{true, false} {
			b := &broken{Client: s.client, part: part}
			c := s.config()
			c.Bucket.API, c.Deep = b, deep
			r, err := audit.Run(t.Context(), c)
			if !errors.Is(err, errPlanted) || b.hits == 0 || r.Sound || !strings.Contains(text(t, r), "NOT CHECKED") {
				t.Errorf("%s, deep %v: error %v after %d hits, sound %v", part, deep, err, b.hits, r.Sound)
			}
		}
	}
}

func TestRun_SumsUpObjectsThatAreNotThePipelines(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	s.put("data/2025/firehose-1-2025-01-01-00-00-00-5b9d", nil, nil)
	s.put("data/notes.txt", nil, nil)
	r := s.audit(func(c *audit.Config) { c.To = time.Now().Add(time.Hour) }) // their ages follow the bucket's clock
	if len(r.Warnings) != 1 || r.Warnings[0].Kind != audit.Unknown || !strings.Contains(r.Warnings[0].Message, "2 objects") || !r.Sound {
		t.Errorf("warnings are %+v", r.Warnings)
	}
}

func TestReport_IsBounded(t *testing.T) {
	s := newSite(t, lines(t, jsonl.None))
	p, _ := s.worker("a")
	c := s.open(p, "shard-1", "a")
	for n := range 300 {
		must(t, c.Append(t.Context(), s.intake(strings.Repeat("p", n%50+1)+string(rune('a'+n/50)), n*10+1, n*10+1)))
	}
	s.deliver(c, s.intake("last", 5000, 5001))
	s.advance(time.Minute)
	for _, key := range s.keys("data/") {
		s.remove(key)
	}
	r := s.audit(nil)
	if len(r.Findings) != 200 || r.Counts[audit.MissingFile] != 301 || !strings.Contains(text(t, r), "and 101 more") {
		t.Errorf("%d findings listed, %d counted", len(r.Findings), r.Counts[audit.MissingFile])
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// The list of a batch's files is neither a manifest nor a data file. A warning reports a list that is more than a day
// old.
func TestRun_LooksAtListsInTheOutbox(t *testing.T) {
	s := goodSite(t, lines(t, jsonl.None))
	fresh := layout.OutboxKey("manifests/", batchID(s.clock().Add(-time.Hour), 801))
	s.put(fresh, []byte("list"), nil)
	s.put("manifests/outbox/notes.txt", nil, nil)
	everything := func(c *audit.Config) { c.Prefixes = []string{""} }
	if r := s.audit(everything); len(r.Findings)+len(r.Warnings) > 0 {
		t.Errorf("not clean:\n%s", text(t, r))
	}
	old := layout.OutboxKey("manifests/", batchID(s.clock().Add(-25*time.Hour), 802))
	s.put(old, []byte("list"), nil)
	r := s.audit(everything)
	if len(r.Warnings) != 1 || r.Warnings[0].Kind != audit.OldOutbox || r.Warnings[0].Key != old || !r.Sound {
		t.Errorf("warnings are %+v", r.Warnings)
	}
}

func TestKinds_AreExplainedToOperators(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	for _, k := range []audit.Kind{
		audit.Gap, audit.Overlap, audit.BadManifest, audit.WrongCount, audit.MissingFile, audit.WrongSize, audit.Replaced, audit.ForeignFile,
		audit.Unreadable, audit.WrongRows, audit.Double, audit.OutOfRange, audit.Unnamed, audit.Unknown,
		audit.OldOutbox,
	} {
		if !bytes.Contains(doc, []byte("| `"+string(k)+"` |")) {
			t.Errorf("docs/operations.md does not say what to do about %s", k)
		}
	}
}
