package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// report is the table of a run.
func (s *storm) report(v *verdict, caughtUp time.Duration) string {
	var b strings.Builder
	faults, kinds := s.weather.faults()
	s.mu.Lock()
	defer s.mu.Unlock()
	reshards := 0
	var how []string
	for _, way := range slices.Sorted(maps.Keys(s.reshards)) {
		reshards += s.reshards[way]
		how = append(how, fmt.Sprintf("%s %d", way, s.reshards[way]))
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("seed", "%d", s.cfg.Seed)
	line("storm", "%v, then %v until all was delivered", s.blew.Round(100*time.Millisecond), caughtUp.Round(100*time.Millisecond))
	if unmet := len(s.weather.unmet(s.cfg.Goals)); unmet > 0 {
		line("goals", "%d of %d met", len(s.cfg.Goals)-unmet, len(s.cfg.Goals))
	} else {
		line("goals", "all %d met after %v", len(s.cfg.Goals), s.met.Round(100*time.Millisecond))
	}
	line("daemons", "%d places, %d starts, %d ended by themselves", s.cfg.Workers, s.starts, len(s.exits))
	line("faults", "%d of %d kinds", faults, kinds)
	b.WriteString(s.weather.table())
	line("at a request", "")
	b.WriteString(s.weather.trapTable())
	line("reshards", "%d (%s)", reshards, strings.Join(how, ", "))
	line("commits", "%d requests applied, doubled ones among them", s.commits.count)
	line("beside a refused one", "%d batches published", s.meanwhile)
	line("death to next commit", "%s", s.commits.recovery())
	line("files, manifests", "%d, %d", v.files, v.batches)
	line("Kinesis records", "%d accepted, %d refused and sent again", s.load.entries, s.load.refused)
	line("records sent", "%d", v.sent)
	line("records delivered", "%d, of them %d as error records and %d transformed", v.data+v.errors, v.errors, v.transformed)
	line("records in backups", "%d, %d of them more than once", len(v.kept), v.keptTwice())
	line("lost", "%d", len(v.lost))
	line("double", "%d", len(v.double))
	return b.String()
}

func (s *storm) resharded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, count := range s.reshards {
		n += count
	}
	return n
}
