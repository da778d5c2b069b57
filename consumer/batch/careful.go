package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"aws-streaming-pipeline/internal/logkey"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/writers"
)

// errPanicked ends a batch in which the program panicked while a record was taken in: what the panic has left in its
// files is unknown.
var errPanicked = errors.New("the program panicked: the batch is dropped, and its records are tried when they are read again")

// panicked tells that a batch ended by a panic, at a record or at a block.
func panicked(err error) bool {
	return errors.Is(err, errPanicked) || errors.Is(err, writers.ErrPanicked)
}

// carefully is how many user records are tried at a time. They may lie in as many files, beyond those that a batch is to
// have at most.
const carefully = 1000

// suspects knows up to where the shards' records have to be tried before they are taken in: as far as they were in a batch
// that a panic has ended. It is forgotten with the process, and learned again by another panic.
//
// So a record at which the program panics each time costs one batch of this worker and not every batch until retention
// ends, and one panic that does not come again costs no record.
type suspects struct {
	any  atomic.Bool
	mu   sync.Mutex
	upTo map[string]string // sequence number by shard
}

func (s *suspects) add(shard, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upTo == nil {
		s.upTo = make(map[string]string)
	}
	if record.CompareSequence(last, s.upTo[shard]) > 0 {
		s.upTo[shard] = strings.Clone(last)
	}
	s.any.Store(true)
}

// among tells that there are records to be tried. Once those that come are beyond them, the shard is above suspicion.
func (s *suspects) among(shard string, records []record.Record) bool {
	if len(records) == 0 || !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, suspect := s.upTo[shard]
	if suspect && record.CompareSequence(records[0].SequenceNumber, last) > 0 {
		delete(s.upTo, shard)
		s.any.Store(len(s.upTo) > 0)
		return false
	}
	return suspect
}

// some is the intake as far as it is tried at a time, and the rest. Both begin with a Kinesis record.
func (in Intake) some() (some, rest Intake) {
	for n := carefully; n < len(in.Records); n++ {
		if in.Records[n].SequenceNumber != in.Records[n-1].SequenceNumber {
			return in.split(n)
		}
	}
	return in, Intake{}
}

// block is what can stand in a block of a file without a panic.
type block struct {
	id      fileID
	records []*record.Record
}

// try sorts out the records at which the program panics: they get a Fault. The others are returned in blocks that have
// been tried, those of a partition in their order.
func (p *Pipeline) try(ctx context.Context, shard string, records []record.Record) ([]block, error) {
	routed := make(map[fileID][]*record.Record)
	var order []fileID
	for i := range records {
		r := &records[i]
		var id fileID
		if id, r.Fault = p.tryRoute(r); r.Fault != nil {
			continue
		}
		if routed[id] == nil {
			order = append(order, id)
		}
		routed[id] = append(routed[id], r)
	}
	var blocks []block
	for _, id := range order {
		tried, err := p.tryFormat(ctx, routed[id])
		if err != nil {
			return nil, err
		}
		for _, records := range tried {
			blocks = append(blocks, block{id, records})
		}
	}
	p.logPoison(shard, records)
	return blocks, nil
}

// logPoison tells of the records at which the program panics, in one line however many there are.
func (p *Pipeline) logPoison(shard string, records []record.Record) {
	var first *record.Record
	n := 0
	for i := range records {
		if f := records[i].Fault; f == nil || f.Code != record.CodeRecordPanicked {
			continue
		}
		if n++; first == nil {
			first = &records[i]
		}
	}
	if first != nil {
		p.parts.Log.Error("records at which the program panics go to the error prefix", logkey.Shard, shard, logkey.Count, n,
			logkey.Sequence, first.SequenceNumber, logkey.Error, first.Fault.Message)
	}
}

// tryRoute is route, and draws a key. A panic is a Fault.
func (p *Pipeline) tryRoute(r *record.Record) (id fileID, fault *record.Fault) {
	defer func() {
		if v := recover(); v != nil {
			fault = record.Panicked(v)
		}
	}()
	if id, fault = p.route(r); fault == nil {
		p.parts.Router.KeyPrefix(id.partition)
	}
	return id, fault
}

// tryFormat encodes records of one partition, and halves them as long as the format panics. One at which it does alone
// gets a Fault; those at which it does only together stand in blocks apart.
func (p *Pipeline) tryFormat(ctx context.Context, records []*record.Record) ([][]*record.Record, error) {
	fault, err := p.parts.Shared.Try(ctx, p.parts.Data, records)
	if err != nil {
		return nil, err
	}
	if fault == nil {
		return [][]*record.Record{records}, nil
	}
	if len(records) == 1 {
		records[0].Fault = fault
		return nil, nil
	}
	half := len(records) / 2
	first, err := p.tryFormat(ctx, records[:half])
	if err != nil {
		return nil, err
	}
	second, err := p.tryFormat(ctx, records[half:])
	if err != nil {
		return nil, err
	}
	blocks := append(first, second...)
	good := slices.Concat(blocks...)
	if len(blocks) < 2 || len(good) == len(records) {
		return blocks, nil
	}
	fault, err = p.parts.Shared.Try(ctx, p.parts.Data, good)
	if err != nil || fault != nil {
		return blocks, err
	}
	return [][]*record.Record{good}, nil
}

// fillCarefully appends records that were tried: blocks as they are, and the faults among records.
func (p *Pipeline) fillCarefully(b *batch, shard string, records []record.Record, blocks []block) (err error) {
	var at *record.Record
	defer p.survive(shard, &at, &err)
	for i := range records {
		if at = &records[i]; at.Fault != nil {
			if err := p.appendFault(b, shard, at, at.Fault); err != nil {
				return err
			}
		}
	}
	at = nil // none of those that follow is more to blame than another
	for _, block := range blocks {
		var misfits misfits
		err := b.append(block.id, func(f *writers.File) error { return f.AppendAlone(block.records, misfits.add) }, p.cfg.Limits.FileBytes)
		if err == nil {
			err = p.appendMisfits(b, shard, misfits)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// survive, deferred, turns a panic into an error that ends the batch. It names the record that was worked on, if there is
// one.
func (p *Pipeline) survive(shard string, at **record.Record, err *error) {
	v := recover()
	if v == nil {
		return
	}
	place := panicAt{shard: shard, what: record.Panicked(v).Message}
	if *at != nil {
		place.sequence = strings.Clone((*at).SequenceNumber)
	}
	p.parts.Log.Error("the program panicked while records were taken in", logkey.Shard, shard, logkey.Sequence, place.sequence, logkey.Error, place.what)
	*err = place
}

// panicAt is errPanicked with the place.
type panicAt struct {
	shard    string
	sequence string // empty if it is not known
	what     string
}

func (p panicAt) Error() string {
	return fmt.Sprintf("%v (shard %s, record %q: %s)", errPanicked, p.shard, p.sequence, p.what)
}

func (p panicAt) Unwrap() error { return errPanicked }
