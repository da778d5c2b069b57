package main

import "testing"

func TestMemoryLimit_KeepsBelowTheContainer(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name      string
		budget    int64
		container uint64
		limit     int64
		short     bool
	}{
		{"no container", 256 * mib, 0, 296 * mib, false},
		{"no bound, as version 1 of control groups has it", 256 * mib, 1<<63 - 4096, 296 * mib, false},
		{"roomy", 256 * mib, 512 * mib, 296 * mib, false},
		{"just enough", 64 * mib, 111 * mib, 98 * mib, false},
		{"too small", 256 * mib, 200 * mib, 200 * mib / 10 * 9, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit, short := memoryLimit(c.budget, c.container)
			if limit != c.limit || short != c.short {
				t.Errorf("limit %d, short %t; want %d, %t", limit, short, c.limit, c.short)
			}
		})
	}
}
