package hostile

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"aws-streaming-pipeline/internal/test/race"
)

var (
	steps = flag.Int("hostile.steps", 0, "recipes that the search tries for each stage; with 0 there is no search")
	seed  = flag.Uint64("hostile.seed", 1, "of the search")
	cpu   = flag.Bool("hostile.cpu", false, "bound the CPU time too, on a machine with nothing else to do")
	large = flag.Bool("hostile.large", false, "payloads of 1 and 10 MB, for the table of docs/hostile-records.md")
)

const (
	// most is the highest allowed cost, as a multiple of an honest record's.
	most = 20
	// cpuSlack is the error that the least of several measurements of CPU time may have, as a factor.
	cpuSlack = 3
	// memorySlack is the same for memory: the garbage collector empties pools at any time.
	memorySlack = 1.25
)

// TestNoRecord_TakesTwentyTimesWhatAnHonestOneTakes tries the payloads that were found, and with -hostile.steps continues the search.
// Without flags it tries the same payloads each time and bounds only memory, so that neither chance nor a busy machine makes it fail.
func TestNoRecord_TakesTwentyTimesWhatAnHonestOneTakes(t *testing.T) {
	sizes := []int{64 << 10}
	if *large {
		sizes = []int{1 << 20, 10 << 20}
	}
	for i := range stages {
		s := &stages[i]
		t.Run(s.name, func(t *testing.T) {
			b := newBench(t, s)
			for _, size := range sizes {
				if s.options.Inflate {
					size = min(size, 1<<20) // 10 MB of gzip are more than may be opened
				}
				for _, w := range s.known {
					b.size = size
					b.hold(t, w.name, w.make(&s.grammar, size))
				}
			}
			b.size = 16 << 10
			b.climb(t)
		})
	}
}

// The harness notices a record that takes much memory.
func TestHarness_FailsForAnExpensiveStage(t *testing.T) {
	b := newBench(t, &stages[0])
	run := b.run
	var sink []byte
	b.run = func(payload []byte) {
		run(payload)
		if payload[2] == 'a' { // none of the honest payloads
			sink = make([]byte, 1000*len(payload))
		}
	}
	b.size = 16 << 10
	if _, bytes := b.ratios(stages[0].known[0].make(&stages[0].grammar, b.size)); bytes < most*memorySlack {
		t.Errorf("1,000 times the payload, %d bytes, are measured as %.1f times", len(sink), bytes)
	}
}

// bench measures payloads of one stage.
type bench struct {
	stage  *stage
	run    func(payload []byte)
	size   int
	honest map[int]cost
}

func newBench(t testing.TB, s *stage) *bench {
	if race.Enabled {
		t.Skip("the race detector changes the costs; make test and make hostile run without it")
	}
	return &bench{stage: s, run: s.run(t), honest: map[int]cost{}}
}

// ratios compares a payload with an honest one of its size.
func (b *bench) ratios(payload []byte) (cpu, bytes float64) {
	size := max(len(payload)/1024, 1) * 1024
	honest, ok := b.honest[size]
	if !ok {
		payload := b.stage.honest(size)
		b.run(payload) // fills the pools
		honest = measure(3, func() { b.run(payload) })
		b.honest[size] = honest
	}
	c := measure(1, func() { b.run(payload) })
	if cpu, bytes = c.over(honest); cpu > most/2 || bytes > most/2 {
		again := measure(2, func() { b.run(payload) })
		cpu, bytes = cost{min(c.cpu, again.cpu), min(c.bytes, again.bytes)}.over(honest)
	}
	return cpu, bytes
}

func (b *bench) hold(t testing.TB, name string, payload []byte) {
	t.Helper()
	cpu, bytes := b.ratios(payload)
	t.Logf("%s, %d bytes: %.1f times the CPU time, %.1f times the memory", name, len(payload), cpu, bytes)
	if *large {
		fmt.Printf("| %s | %s | %d | %.1f | %.1f |\n", b.stage.name, name, len(payload), cpu, bytes)
	}
	if over(cpu, bytes) {
		t.Errorf("%s, %d bytes: %.1f times the CPU time and %.1f times the memory of an honest record of that size, at most %d\n%.100q",
			name, len(payload), cpu, bytes, most, payload)
	}
}

// over reports whether a payload costs more than it may.
func over(times, bytes float64) bool {
	return bytes > most*memorySlack || *cpu && times > most*cpuSlack
}

// climb goes from recipe to recipe, always to one that costs more.
func (b *bench) climb(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 0))
	var top recipe
	height := 0.0
	for n := range *steps {
		next := top.mutate(random)
		if n%5 == 0 {
			next = recipeOf(binaryNoise(random))
		}
		payload := b.stage.grammar.render(next, b.size)
		cpu, bytes := b.ratios(payload)
		if over(cpu, bytes) {
			b.hold(t, fmt.Sprintf("recipe %v", next.bytes()), payload)
			return
		}
		if reached := max(cpu, bytes); reached > height {
			top, height = next, reached
		}
	}
	if *steps > 0 {
		t.Logf("up to %.1f times: %.200q", height, b.stage.grammar.render(top, 200))
	}
}

func binaryNoise(random *rand.Rand) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = uint8(random.Uint32())
	}
	return b
}
