package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aws-streaming-pipeline/checkpoint"
)

func (r *reader) lead() checkpoint.Lead {
	return checkpoint.Lead{Worker: r.str(attrWorker), Term: r.num(attrTerm)}
}

func (r *reader) orders() checkpoint.Orders {
	o := decoded(r, attrOrders, checkpoint.DecodeOrders)
	o.Term, o.Number = r.num(attrTerm), r.num(attrNumber)
	return o
}

// fleet returns the leader's summary, or nil if there is none that this release can read.
func (r *reader) fleet() *checkpoint.Fleet {
	s, ok := r.item[attrFleet].(*types.AttributeValueMemberS)
	if !ok {
		return nil
	}
	return checkpoint.DecodeFleet(s.Value)
}

// is reports whether an attribute is true; of another type it is not.
func (r *reader) is(name string) bool {
	b, ok := r.item[name].(*types.AttributeValueMemberBOOL)
	return ok && b.Value
}

// Lead implements checkpoint.Coordination.
func (s *Store) Lead(ctx context.Context) (checkpoint.Lead, error) {
	it, err := s.get(ctx, "lead", keyLeader)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return checkpoint.Lead{}, nil
	}
	var l checkpoint.Lead
	if err == nil {
		l, err = read(it, (*reader).lead)
	}
	if err != nil {
		return checkpoint.Lead{}, fmt.Errorf("lead: %w", err)
	}
	return l, nil
}

// TakeLead implements checkpoint.Coordination.
func (s *Store) TakeLead(ctx context.Context, was checkpoint.Lead, worker string) (checkpoint.Lead, error) {
	if worker == "" {
		return checkpoint.Lead{}, errors.New("take lead: no worker given")
	}
	return s.passLead(ctx, "take lead", was, worker)
}

// Resign implements checkpoint.Coordination.
func (s *Store) Resign(ctx context.Context, lead checkpoint.Lead) error {
	if lead.Worker == "" {
		return errors.New("resign: nobody leads")
	}
	_, err := s.passLead(ctx, "resign", lead, "")
	return err
}

// passLead writes the next lead, with a worker or without one. If the condition fails although the item is just that, an earlier send of
// this call was applied and its answer lost. That is sound because each process has a new id.
func (s *Store) passLead(ctx context.Context, operation string, was checkpoint.Lead, worker string) (checkpoint.Lead, error) {
	next := was.Next(worker)
	var e expression
	if was == (checkpoint.Lead{}) {
		e.absent(attrKey)
	} else {
		e.equal(attrTerm, num(was.Term))
		e.holds(attrWorker, was.Worker)
	}
	e.set(attrType, str(typeLeader))
	e.set(attrTerm, num(next.Term))
	if worker == "" {
		e.remove(attrWorker)
	} else {
		e.set(attrWorker, str(worker))
	}
	_, err := s.update(ctx, operation, keyLeader, e)
	if errors.Is(err, checkpoint.ErrConflict) {
		stored, readErr := s.Lead(ctx)
		switch {
		case readErr != nil:
			err = fmt.Errorf("read after a conflict: %w", readErr)
		case stored == next:
			return next, nil
		default:
			err = fmt.Errorf("%q leads in term %d, not %q in term %d: %w", stored.Worker, stored.Term, was.Worker, was.Term, err)
		}
	}
	if err != nil {
		return checkpoint.Lead{}, fmt.Errorf("%s: %w", operation, err)
	}
	return next, nil
}

// Worker implements checkpoint.Coordination with half a read unit.
func (s *Store) Worker(ctx context.Context, id string) (checkpoint.Worker, error) {
	it, err := s.peek(ctx, "worker", keyWorker+id)
	var w checkpoint.Worker
	if err == nil {
		w, err = read(it, (*reader).worker)
	}
	if err != nil {
		return checkpoint.Worker{}, fmt.Errorf("worker %s: %w", id, err)
	}
	return w, nil
}

// GiveOrders implements checkpoint.Coordination. The same orders may be given twice, so an answer that was lost needs no care.
func (s *Store) GiveOrders(ctx context.Context, worker string, o checkpoint.Orders) error {
	data, err := checkpoint.EncodeOrders(o)
	if err == nil && worker == "" {
		err = errors.New("the worker has no id")
	}
	if err == nil {
		var e expression
		e.notAfter(attrTerm, o.Term, attrNumber, o.Number)
		err = s.put(ctx, "give orders", item{
			attrKey: str(keyOrders + worker), attrType: str(typeOrders),
			attrTerm: num(o.Term), attrNumber: num(o.Number), attrOrders: binary(data),
		}, e)
	}
	if err != nil {
		return fmt.Errorf("give orders: worker %s: %w", worker, err)
	}
	return nil
}

// Orders implements checkpoint.Coordination.
func (s *Store) Orders(ctx context.Context, worker string) (checkpoint.Orders, error) {
	it, err := s.get(ctx, "orders", keyOrders+worker)
	var o checkpoint.Orders
	if err == nil {
		o, err = read(it, (*reader).orders)
	}
	if err != nil {
		return checkpoint.Orders{}, fmt.Errorf("orders: worker %s: %w", worker, err)
	}
	return o, nil
}

// Dismiss implements checkpoint.Coordination.
func (s *Store) Dismiss(ctx context.Context, worker string) error {
	if err := s.remove(ctx, "dismiss", keyOrders+worker, expression{}); err != nil {
		return fmt.Errorf("dismiss: worker %s: %w", worker, err)
	}
	return nil
}
