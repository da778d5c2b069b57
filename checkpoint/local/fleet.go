package local

import (
	"context"
	"errors"
	"fmt"

	"aws-streaming-pipeline/checkpoint"
)

// ordersRow are the orders of a worker. They stay encoded, so that callers do not share memory with the store.
type ordersRow struct {
	Term   int64  `json:"term"`
	Number int64  `json:"number"`
	Orders []byte `json:"orders"` // from EncodeOrders
}

// Lead implements checkpoint.Coordination.
func (s *Store) Lead(ctx context.Context) (l checkpoint.Lead, err error) {
	err = s.call(ctx, "lead", func() error {
		l = s.tables.lead.rows[theLead]
		return nil
	})
	return l, err
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

func (s *Store) passLead(ctx context.Context, operation string, was checkpoint.Lead, worker string) (checkpoint.Lead, error) {
	next := was.Next(worker)
	err := s.change(ctx, operation, func(c *change) error {
		if stored := s.tables.lead.rows[theLead]; stored != was {
			return fmt.Errorf("%q leads in term %d, not %q in term %d: %w", stored.Worker, stored.Term, was.Worker, was.Term, checkpoint.ErrConflict)
		}
		return s.tables.lead.put(c, theLead, next)
	})
	if err != nil {
		return checkpoint.Lead{}, err
	}
	return next, nil
}

// Worker implements checkpoint.Coordination.
func (s *Store) Worker(ctx context.Context, id string) (w checkpoint.Worker, err error) {
	err = s.call(ctx, "worker", func() error {
		row, ok := s.tables.workers.rows[id]
		if !ok {
			return fmt.Errorf("worker %s: %w", id, checkpoint.ErrNotFound)
		}
		w = cloneWorker(row)
		return nil
	})
	return w, err
}

// GiveOrders implements checkpoint.Coordination.
func (s *Store) GiveOrders(ctx context.Context, worker string, o checkpoint.Orders) error {
	if worker == "" {
		return errors.New("give orders: the worker has no id")
	}
	data, err := checkpoint.EncodeOrders(o)
	if err != nil {
		return fmt.Errorf("give orders: worker %s: %w", worker, err)
	}
	return s.change(ctx, "give orders", func(c *change) error {
		if row, ok := s.tables.orders.rows[worker]; ok && (checkpoint.Orders{Term: row.Term, Number: row.Number}).After(o) {
			return fmt.Errorf("worker %s has orders %d of term %d, given are %d of term %d: %w", worker, row.Number, row.Term, o.Number, o.Term, checkpoint.ErrConflict)
		}
		return s.tables.orders.put(c, worker, ordersRow{Term: o.Term, Number: o.Number, Orders: data})
	})
}

// Orders implements checkpoint.Coordination.
func (s *Store) Orders(ctx context.Context, worker string) (o checkpoint.Orders, err error) {
	err = s.call(ctx, "orders", func() (err error) {
		row, ok := s.tables.orders.rows[worker]
		if !ok {
			return fmt.Errorf("worker %s: %w", worker, checkpoint.ErrNotFound)
		}
		o, err = checkpoint.DecodeOrders(row.Orders)
		o.Term, o.Number = row.Term, row.Number
		return err
	})
	return o, err
}

// Dismiss implements checkpoint.Coordination.
func (s *Store) Dismiss(ctx context.Context, worker string) error {
	return s.change(ctx, "dismiss", func(c *change) error {
		s.tables.orders.remove(c, worker)
		return nil
	})
}

func cloneWorker(w checkpoint.Worker) checkpoint.Worker {
	if w.Fleet != nil {
		f := w.Fleet.Normalized()
		w.Fleet = &f
	}
	return w
}
