package main

import "fmt"

// line is the result as benchstat reads it.
func (r result) line() string {
	var requests int64
	for _, n := range r.Requests {
		requests += n
	}
	return fmt.Sprintf("BenchmarkEndToEnd/set=%s/program=%s/format=%s/shards=%d/cores=%d 1 %d ns/op %.1f MB/cpu-s %.1f MB/s %.3f allocs/record %.1f peak-MB %.2f gc-%% %.1f requests/GB %.3f out/in",
		r.Set, r.Program, r.Format, r.Shards, r.Cores, r.CPU.Nanoseconds(), r.rate(), float64(r.Payload)/1e6/r.Wall.Seconds(),
		r.allocsPerRecord(), float64(r.Peak)/1e6, 100*r.gcShare(), r.perGB(requests), float64(r.Output)/float64(r.Payload))
}
