package loadertest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record/table"
)

// Memory is a table in memory. It passes the suite, and is a destination for tests of loaders.
type Memory struct {
	name string

	mu         sync.Mutex
	definition table.Definition
	shared     bool // others write to it without changing its state
	fixed      bool // it gets no columns
	head       int
	ledger     []string
	live       map[string]int
	files      int // that Write has made

	fault Fault
	held  func() error
	hit   bool

	// What a control leaves out.
	blind     bool // a write that fails is repeated on the state that is there
	unchecked bool // a write is applied on any state
	forgetful bool // expiry drops the ledger
	mistaken  bool // LedgerOnly and FixedColumns say the opposite of what is
	apart     bool // the ledger is written apart from the data, and first
}

// NewMemory returns an empty table with a column n.
func NewMemory(name string) *Memory {
	return &Memory{name: name, live: make(map[string]int), definition: table.Definition{
		UUID: "11111111-2222-3333-4444-555555555555", Columns: []table.Column{{ID: 1, Name: "n", Member: "n", Type: "long"}},
	}}
}

// Open implements Table.
func (m *Memory) Open() loader.Destination { return memoryLink{m} }

// Fail implements Table.
func (m *Memory) Fail(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.hit = f, false
}

// Hit implements Table.
func (m *Memory) Hit() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hit
}

// Release implements Table.
func (m *Memory) Release(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil {
		_ = m.held() // nobody waits for the answer
		m.held = nil
	}
	return nil
}

// Write implements Table.
func (m *Memory) Write(_ context.Context, d *table.Definition, id string, n int) (checkpoint.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := checkpoint.Batch{ID: id, Tables: []string{m.name}}
	description, err := json.Marshal(table.Description{UUID: d.UUID, Schema: d.Schema, Spec: d.Spec.ID})
	for range n {
		m.files++
		b.Files = append(b.Files, checkpoint.File{Bucket: "memory", Key: fmt.Sprint(id, "/", m.files), Rows: 1, Bytes: 100, Table: description})
	}
	return b, err
}

// Foreign implements Table.
func (m *Memory) Foreign(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.shared {
		m.head++
	}
	return nil
}

// LedgerOnly implements the interface of that name.
func (m *Memory) LedgerOnly() bool { return m.shared != m.mistaken }

// FixedColumns implements the interface of that name.
func (m *Memory) FixedColumns() bool { return m.fixed != m.mistaken }

// Expire implements Table.
func (m *Memory) Expire(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgetful {
		m.ledger = nil
	}
	return nil
}

// Live implements Table.
func (m *Memory) Live(context.Context) (map[string]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.live), nil
}

// Replace makes the table another one of the same name, or one whose partition spec is another.
func (m *Memory) Replace(d table.Definition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.definition = d
	m.head++
}

// send passes a write through the network. The caller holds the mutex.
func (m *Memory) send(write func() error) error {
	fault := m.fault
	m.fault = 0
	m.hit = m.hit || fault != 0
	switch fault {
	case RequestLost:
		return loader.ErrUnanswered
	case AnswerLost:
		_ = write() // the answer is lost
		return loader.ErrUnanswered
	case Late:
		m.held = write
		return loader.ErrUnanswered
	case Doubled:
		_ = write() // so is this one
	}
	return write()
}

// memoryLink is a loader's connection to the table.
type memoryLink struct{ *Memory }

// Name implements loader.Destination.
func (l memoryLink) Name() string { return l.name }

// Load implements loader.Destination.
func (l memoryLink) Load(ctx context.Context, _ *table.Definition) (loader.State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.definition
	d.Columns = slices.Clone(d.Columns)
	return &memoryState{l.Memory, l.head, slices.Clone(l.ledger), &d}, nil
}

type memoryState struct {
	m          *Memory
	head       int
	ledger     []string
	definition *table.Definition
}

// Ledger implements loader.State.
func (s *memoryState) Ledger() []string { return slices.Clone(s.ledger) }

// Definition implements loader.State.
func (s *memoryState) Definition() *table.Definition { return s.definition }

// Check implements loader.State.
func (s *memoryState) Check(f *checkpoint.File) ([]table.Column, error) {
	d, err := loader.Describe(f, s.definition.UUID)
	if err != nil {
		return nil, err
	}
	if d.Spec != s.definition.Spec.ID {
		return nil, fmt.Errorf("partition spec %d: the table has only %d", d.Spec, s.definition.Spec.ID)
	}
	return d.Wanted, nil
}

// Size implements loader.Sized.
func (s *memoryState) Size() loader.Size { return loader.Size{Snapshots: s.head, MetadataBytes: 100} }

// Append implements loader.State.
func (s *memoryState) Append(ctx context.Context, a loader.Addition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	write := func(head int) func() error { return func() error { return m.append(head, a) } }
	if m.apart {
		m.ledger = newLedger(a)
	}
	err := m.send(write(s.head))
	if err != nil && m.blind {
		err = m.send(write(m.head))
	}
	return err
}

func newLedger(a loader.Addition) []string {
	ledger := slices.Clone(a.Keep)
	for _, b := range a.Batches {
		ledger = append(ledger, b.ID)
	}
	return ledger
}

func (m *Memory) append(head int, a loader.Addition) error {
	if head != m.head && !m.unchecked {
		return loader.ErrConflict
	}
	m.head++
	m.ledger = newLedger(a)
	for _, b := range a.Batches {
		for _, f := range b.Files {
			m.live["s3://"+f.Bucket+"/"+f.Key]++
		}
	}
	return nil
}

// Evolve implements loader.State. The table takes any new column, and widens int to long, unless it gets none.
func (s *memoryState) Evolve(_ context.Context, wanted []table.Column) (changed bool, refused []table.Column, err error) {
	if s.m.fixed {
		return false, wanted, nil
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	next := *s.definition
	next.Columns = slices.Clone(next.Columns)
	for _, c := range wanted {
		switch has := next.Find(c.Member); {
		case has == nil:
			c.ID = len(next.Columns) + 1
			next.Columns = append(next.Columns, c)
			changed = true
		case has.Type == "int" && c.Type == "long":
			has.Type = c.Type
			changed = true
		case has.Type != c.Type:
			refused = append(refused, c)
		}
	}
	if !changed {
		return false, refused, nil
	}
	next.Schema++
	err = s.m.send(func() error {
		if s.m.definition.Schema != s.definition.Schema {
			return loader.ErrConflict
		}
		s.m.definition = next
		return nil
	})
	return err == nil, refused, err
}
