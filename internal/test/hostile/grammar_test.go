package hostile

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
)

// grammar makes payloads of any size from a recipe: a frame, some nesting in it, and units repeated to fill it.
//
// Within a text, # stands for a number that is different in each unit, @ for filler of the recipe's length, and % for
// a balanced run of brackets that is different in each unit.
type grammar struct {
	frames []frame
	nests  []frame
	units  []string
	joint  string // between units
	// pack turns the text into a payload; nil uses the text unchanged.
	pack func(text []byte) []byte
}

// frame is the text before and after something.
type frame struct{ before, after string }

// recipe is a word of a grammar. Its numbers are taken modulo the number of choices, so that any bytes are one.
type recipe struct {
	Frame, Nest uint8
	Depth       uint8 // how often the nesting is repeated, in eighths of an octave
	Units       [3]uint8
	Count       uint8 // how many of Units are used
	Filler      uint8 // length of the filler, in eighths of an octave
}

func (r recipe) bytes() []byte {
	return []byte{r.Frame, r.Nest, r.Depth, r.Units[0], r.Units[1], r.Units[2], r.Count, r.Filler}
}

// recipeOf reads a recipe from any number of bytes.
func recipeOf(b []byte) recipe {
	var full [8]byte
	copy(full[:], b)
	return recipe{full[0], full[1], full[2], [3]uint8(full[3:6]), full[6], full[7]}
}

// mutate changes one or two numbers.
func (r recipe) mutate(random *rand.Rand) recipe {
	b := r.bytes()
	for range 1 + random.IntN(2) {
		i := random.IntN(len(b))
		if b[i] = uint8(random.Uint32()); random.IntN(2) == 0 {
			b[i] = r.bytes()[i] + uint8(random.IntN(9)) - 4
		}
	}
	return recipeOf(b)
}

// octaves is 2^(n/8), at most limit.
func octaves(n uint8, limit int) int {
	k := 1 << (n / 8 % 24)
	return min(k+k*int(n%8)/8, limit)
}

// render makes a payload of about size bytes before packing.
func (g *grammar) render(r recipe, size int) []byte { return g.packed(g.text(r, size)) }

func (g *grammar) packed(text []byte) []byte {
	if g.pack == nil {
		return text
	}
	return g.pack(text)
}

// fill makes a payload of one frame and several units.
func (g *grammar) fill(before, after string, size int, units ...string) []byte {
	one := grammar{frames: []frame{{before, after}}, units: units, joint: g.joint}
	count := uint8(len(units) - 1)
	return g.packed(one.text(recipe{Units: [3]uint8{0, 1, 2}, Count: count}, size))
}

func (g *grammar) text(r recipe, size int) []byte {
	frame := g.frames[int(r.Frame)%len(g.frames)]
	nest, depth := frameless, 0
	if n := int(r.Nest) % (len(g.nests) + 1); n > 0 {
		nest = g.nests[n-1]
		depth = min(octaves(r.Depth, 990), size/4/len(nest.before+nest.after))
	}
	filler := strings.Repeat("a", octaves(r.Filler, size/2))
	var b bytes.Buffer
	b.WriteString(strings.ReplaceAll(frame.before, "@", filler))
	b.WriteString(strings.Repeat(nest.before, depth))
	end := strings.Repeat(nest.after, depth) + frame.after
	if strings.HasSuffix(nest.before, ":") { // units make one value
		b.WriteByte('[')
		end = "]" + end
	}
	count := 1 + int(r.Count)%len(r.Units)
	for n := 0; ; n++ {
		unit := expand(g.units[int(r.Units[n%count])%len(g.units)], n, filler)
		if n > 0 && b.Len()+len(g.joint)+len(unit)+len(end) > size {
			break
		}
		if n > 0 {
			b.WriteString(g.joint)
		}
		b.WriteString(unit)
	}
	b.WriteString(end)
	return b.Bytes()
}

var frameless frame

func expand(unit string, n int, filler string) string {
	if !strings.ContainsAny(unit, "#@%") {
		return unit
	}
	return strings.NewReplacer("#", strconv.FormatInt(int64(n), 36), "@", filler, "%", brackets(n)).Replace(unit)
}

// brackets is a balanced run of 12 pairs of square brackets, with commas, for n up to 208,012.
func brackets(n int) string {
	const pairs = 12
	var b strings.Builder
	open, left := 0, pairs
	rank := n % 208012
	for open > 0 || left > 0 {
		// Runs that continue with an opening bracket come first.
		ways := 0
		if left > 0 {
			ways = balanced(open+1, left-1)
		}
		if rank < ways {
			if s := b.String(); s != "" && s[len(s)-1] == ']' {
				b.WriteByte(',')
			}
			b.WriteByte('[')
			open, left = open+1, left-1
			continue
		}
		rank -= ways
		b.WriteByte(']')
		open--
	}
	return "[" + b.String() + "]"
}

var ballots = map[[2]int]int{}

// balanced counts the runs that close the given number of brackets and have the given number of pairs left.
func balanced(open, left int) int {
	if left == 0 {
		return 1
	}
	key := [2]int{open, left}
	if n, ok := ballots[key]; ok {
		return n
	}
	n := balanced(open+1, left-1)
	if open > 0 {
		n += balanced(open-1, left)
	}
	ballots[key] = n
	return n
}
