// Package route shows where the daemon would store records, without storing them.
//
// Samples are Kinesis records: payloads of a file, lines of the error prefix or of a backup, or the newest records of the stream. Run takes
// them through a consumer.Trial, which is made of the daemon's own parts, and reports for each user record the key of its file, that it is
// dropped, or the error code with its reason and the key of the error file.
//
// A report has no payloads unless Options.Payloads is set. Like manifests, it has the values of partition keys, which are in object keys.
package route

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/consumer/batch"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/table"
)

// Trial is what the daemon does with records. A *consumer.Trial implements it.
type Trial interface {
	Open(ctx context.Context, raw record.Record, in *record.HashRange, each bool) ([]consumer.Opened, error)
	Transforms() string
	Known() bool
	Transform(ctx context.Context, shard string, in []record.Record) ([]record.Record, error)
	Waiting() error
	Keys(r *record.Record) []prefix.Key
	Place(ctx context.Context, r *record.Record) (batch.Placement, error)
	Destination() string
}

// Options say what a report shows.
type Options struct {
	// Explain shows what each setting does to a record.
	Explain bool
	// Payloads shows the payload of each user record.
	Payloads bool
}

// Outcome is the result for a user record.
type Outcome string

const (
	ToFile  Outcome = "file"    // stored in a data file
	ToError Outcome = "error"   // stored under the error prefix
	Dropped Outcome = "dropped" // by a transform, or by KPL_HASH_FILTER
	Unknown Outcome = "unknown" // decided by a function that was not called
)

// Sent is a Kinesis record.
type Sent struct {
	// Line is the number of its line in the sample, from 1; 0 for a record of the stream.
	Line     int       `json:"line,omitempty"`
	Shard    string    `json:"shard,omitempty"`
	Sequence string    `json:"sequenceNumber,omitempty"`
	Arrival  time.Time `json:"arrival"`
	Bytes    int       `json:"bytes"`
	// Steps say what the settings make of it, with Options.Explain.
	Steps []string `json:"steps,omitempty"`
	// Records are its user records, and those that a transform makes of them.
	Records []Routed `json:"records"`
}

// Routed is a user record, and what happens to it.
type Routed struct {
	Outcome Outcome `json:"outcome"`
	// EventID is its event_id, if its Kinesis record is in a stream.
	EventID string `json:"eventId,omitempty"`
	// Key is the key of its file, as layout.KeyForm shows it; Folder is the part up to the last slash.
	Key    string `json:"key,omitempty"`
	Folder string `json:"folder,omitempty"`
	// Table is its partition in the Iceberg table of TABLE.
	Table []table.Value `json:"table,omitempty"`
	// Code and Reason say why it cannot be delivered, or why the outcome is not known.
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Steps say what the settings make of it, with Options.Explain.
	Steps []string `json:"steps,omitempty"`
	// Payload is what would be stored, with Options.Payloads. JSON has it in base64.
	Payload []byte `json:"payload,omitempty"`
}

// Report says what happens to samples.
type Report struct {
	Sent    []Sent   `json:"samples"`
	Summary Summary  `json:"summary"`
	Notes   []string `json:"notes,omitempty"`
}

// Summary counts user records.
type Summary struct {
	Samples int            `json:"samples"`
	Records int            `json:"records"`
	Files   int            `json:"files"`
	Errors  int            `json:"errors"`
	Dropped int            `json:"dropped"`
	Unknown int            `json:"unknown"`
	Folders map[string]int `json:"folders"` // of data files
	Codes   map[string]int `json:"codes"`   // of errors
}

// atOnce is how many samples are transformed together, which a function may take in one call.
const atOnce = 500

// Run reports what happens to samples. Its error is the end of ctx, with what is waited for, or a bug.
func Run(ctx context.Context, t Trial, samples []Sample, o Options) (Report, error) {
	r := Report{Sent: []Sent{}, Summary: Summary{Folders: map[string]int{}, Codes: map[string]int{}}}
	waited := watch(ctx, t)
	for len(samples) > 0 {
		n := together(samples)
		sent, err := runSome(ctx, t, samples[:n], o)
		if err != nil {
			return r, errors.Join(fmt.Errorf("route: %w", err), waited())
		}
		for i := range sent {
			r.Summary.add(&sent[i])
		}
		r.Sent = append(r.Sent, sent...)
		samples = samples[n:]
	}
	waited()
	return r, nil
}

// watchEvery is the time between two looks at what a Trial waits for.
const watchEvery = 500 * time.Millisecond

// watch looks what a Trial waits for, until waited is called. That returns what it was when ctx ended, which the Trial itself has forgotten
// by then.
func watch(ctx context.Context, t Trial) (waited func() error) {
	stop := make(chan struct{})
	last := make(chan error, 1)
	go func() {
		var seen error
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if now := t.Waiting(); ctx.Err() == nil {
					seen = now
				}
			case <-stop:
				last <- seen
				return
			}
		}
	}()
	return func() error {
		close(stop)
		return <-last
	}
}

// together returns how many of the samples are worked on together: records of one shard that differ in their sequence numbers.
func together(samples []Sample) int {
	seen := make(map[string]bool)
	for i, s := range samples {
		if i == atOnce || s.Record.Shard != samples[0].Record.Shard || seen[s.Record.SequenceNumber] {
			return i
		}
		seen[s.Record.SequenceNumber] = true
	}
	return len(samples)
}

// place is where a user record comes from: a transform keeps it.
type place struct {
	sequence  string
	sub, part int
}

func placeOf(r *record.Record) place { return place{r.SequenceNumber, r.SubSequence, r.Part} }

// runSome reports on samples of one shard.
func runSome(ctx context.Context, t Trial, samples []Sample, o Options) ([]Sent, error) {
	sent := make([]Sent, len(samples))
	opened := make([][]record.Record, len(samples))
	var all []record.Record
	for i, s := range samples {
		sent[i] = Sent{Line: s.Line, Shard: s.Record.Shard, Sequence: s.Record.SequenceNumber, Arrival: s.Record.Arrival, Bytes: len(s.Record.Data), Records: []Routed{}}
		if s.Line > 0 && s.Record.Shard == "" {
			sent[i].Sequence = "" // it was given to tell the lines apart
		}
		steps, err := t.Open(ctx, s.Record, s.Hashes, o.Explain)
		if err != nil {
			return nil, err
		}
		if o.Explain {
			sent[i].Steps = explainOpening(&s.Record, steps)
		}
		opened[i] = steps[len(steps)-1].Records
		all = append(all, opened[i]...)
	}
	known := t.Known()
	if known {
		var err error
		if all, err = t.Transform(ctx, samples[0].Record.Shard, all); err != nil {
			return nil, err
		}
	}
	made := make(map[place][]record.Record)
	for i := range all {
		made[placeOf(&all[i])] = append(made[placeOf(&all[i])], all[i])
	}
	for i := range samples {
		if len(opened[i]) == 0 {
			sent[i].Records = append(sent[i].Records, Routed{Outcome: Dropped, Reason: "KPL_HASH_FILTER: the aggregate belongs to another shard"})
		}
		for j := range opened[i] {
			user := &opened[i][j]
			routed, err := routeOne(ctx, t, user, made[placeOf(user)], known, o)
			if err != nil {
				return nil, err
			}
			sent[i].Records = append(sent[i].Records, routed...)
		}
	}
	return sent, nil
}

// routeOne reports on a user record of which a transform has made others.
func routeOne(ctx context.Context, t Trial, user *record.Record, made []record.Record, known bool, o Options) ([]Routed, error) {
	if len(made) == 0 {
		return []Routed{{Outcome: Dropped, EventID: eventID(user), Reason: "by " + t.Transforms()}}, nil
	}
	var all []Routed
	for i := range made {
		r := &made[i]
		if !known && r.Fault == nil {
			all = append(all, Routed{Outcome: Unknown, EventID: eventID(r), Reason: "TRANSFORM names a function, whose answer decides: --call-function calls it", Payload: shown(r, o)})
			continue
		}
		p, err := t.Place(ctx, r)
		if err != nil {
			return nil, err
		}
		routed := Routed{Outcome: ToFile, EventID: eventID(r), Key: p.Key, Folder: folder(p.Key), Table: p.Tuple, Payload: shown(r, o)}
		if p.Fault != nil {
			routed.Outcome, routed.Code, routed.Reason = ToError, p.Fault.Code, p.Fault.Message
		}
		if o.Explain {
			routed.Steps = explainRouting(t, user, r, len(made), p.Fault)
		}
		all = append(all, routed)
	}
	return all, nil
}

func eventID(r *record.Record) string {
	if r.Shard == "" {
		return ""
	}
	return r.EventID()
}

func shown(r *record.Record, o Options) []byte {
	if !o.Payloads {
		return nil
	}
	return r.Data
}

// folder returns a key up to its last slash; empty for the root of the bucket.
func folder(key string) string {
	dir, _ := path.Split(key)
	return dir
}

func (s *Summary) add(sent *Sent) {
	s.Samples++
	for _, r := range sent.Records {
		s.Records++
		switch r.Outcome {
		case ToFile:
			s.Files++
			s.Folders[r.Folder]++
		case ToError:
			s.Errors++
			s.Codes[r.Code]++
		case Dropped:
			s.Dropped++
		case Unknown:
			s.Unknown++
		}
	}
}
