package compare

import "errors"

// tally counts the records of each content, one partition after another.
type tally struct {
	dir    string
	memory int64
	counts map[Hash]count
	most   int // of counts
	splits int // partitions that had too many contents to be counted at once
	found  func(Hash, count)
}

// count is how often records of one content occur.
type count struct {
	records [2][2]int64 // by side, in the window and in its margin
	// places are the first of each side; there are as many as records, but no more than two.
	places [2][2]place
}

// countSize is about what an entry of tally.counts takes, with the room that a map has to spare.
const countSize = 2 * (len(Hash{}) + 2*2*8 + 2*2*8)

var errTooMany = errors.New("too many contents")

// newTally returns a tally that holds about memory bytes at most. It calls found for each content whose counts differ between
// the sides.
func newTally(dir string, memory int64, found func(Hash, count)) *tally {
	return &tally{
		dir: dir, memory: memory, counts: make(map[Hash]count),
		most: max(int(memory/3*2)/countSize, 16), found: found,
	}
}

// compare counts the partitions of a spool, and closes it. A partition of too many contents is partitioned by the hash's
// next byte; as many equal records as you like take one entry.
func (t *tally) compare(s *spool) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	for i := range s.parts {
		p := &s.parts[i]
		err := t.count(p)
		if errors.Is(err, errTooMany) {
			err = t.split(p, s.level+1)
		}
		if err = errors.Join(err, p.close()); err != nil {
			return err
		}
	}
	return nil
}

// split counts a partition in parts, as few as are likely to do. Each level has half the memory for its buffers that the one
// above has.
func (t *tally) split(p *part, level int) error {
	t.splits++
	parts := min(2+2*p.entries/int64(t.most), maxParts)
	s := newSpool(t.dir, level, int(parts), t.memory/3>>level)
	if err := p.each(s.add); err != nil {
		return errors.Join(err, s.close())
	}
	return t.compare(s)
}

func (t *tally) count(p *part) error {
	clear(t.counts)
	if err := p.each(t.add); err != nil {
		return err
	}
	for h, c := range t.counts {
		if c.of(theirs) != c.of(ours) {
			t.found(h, c)
		}
	}
	return nil
}

func (t *tally) add(e entry) error {
	c, known := t.counts[e.hash]
	if !known && len(t.counts) == t.most {
		return errTooMany
	}
	c.add(e.place)
	t.counts[e.hash] = c
	return nil
}

func (c *count) add(p place) {
	s, margin := p.side(), 0
	if p.inMargin() {
		margin = 1
	}
	places := &c.places[s]
	switch n := c.of(s); {
	case n == 0:
		places[0] = p
	case p.before(places[0]):
		places[0], places[1] = p, places[0]
	case n == 1 || p.before(places[1]):
		places[1] = p
	}
	c.records[s][margin]++
}

// before orders the places of one side by object and record. Those in the window come before those in its margin.
func (p place) before(other place) bool { return p < other }

// of returns how many records of one side there are, with those in the margin.
func (c *count) of(s side) int64 { return c.records[s][0] + c.records[s][1] }

// excess returns how many records of the window one side has more than the other has in the window and its margin: these
// have no counterpart, whatever moment the files were cut at.
func (c *count) excess(s side) int64 { return max(c.records[s][0]-c.of(s.other()), 0) }

// edge returns how many records one side has more than the other, beside its excess. Their counterparts may be in objects
// beyond the margin.
func (c *count) edge(s side) int64 { return max(c.of(s)-c.of(s.other()), 0) - c.excess(s) }
