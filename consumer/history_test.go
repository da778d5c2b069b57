package consumer

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A page that is opened now shows the last ten minutes, however long the daemon has run.
func TestHistory_KeepsTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		taken := 0
		tick := func() {
			h.take(func() Sample {
				taken++
				return Sample{At: time.Now(), Counts: Counts{BytesRead: int64(taken)}}
			})
		}
		for range 3600 {
			tick()
			time.Sleep(time.Second)
		}
		if want := 3600 / 5; taken != want {
			t.Errorf("%d samples taken within an hour, want %d", taken, want)
		}
		kept := h.samples()
		if len(kept) != samples {
			t.Fatalf("%d samples kept, want %d", len(kept), samples)
		}
		first, last := kept[0], kept[len(kept)-1]
		if took := last.At.Sub(first.At); took != 10*time.Minute || last.BytesRead != int64(taken) || time.Since(last.At) > sampleEvery {
			t.Errorf("the samples are from %v to %v, %d of %d", first.At, last.At, last.BytesRead, taken)
		}
		time.Sleep(time.Hour) // as when a machine sleeps
		tick()
		if kept := h.samples(); len(kept) != samples || !kept[len(kept)-1].At.Equal(time.Now()) {
			t.Errorf("%d samples after a pause, the last of %v", len(kept), kept[len(kept)-1].At)
		}
	})
}

func TestAdvertised_IsWhereOthersReachThePage(t *testing.T) {
	address := func(cidrs ...string) func() ([]net.Addr, error) {
		return func() (all []net.Addr, err error) {
			for _, cidr := range cidrs {
				ip, network, err := net.ParseCIDR(cidr)
				if err != nil {
					return nil, err
				}
				all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
			}
			return all, nil
		}
	}
	machine := address("127.0.0.1/8", "::1/128", "fe80::1/64", "2001:db8::7/64", "10.0.1.7/24", "10.0.2.7/24")
	for _, c := range []struct {
		address string
		machine func() ([]net.Addr, error)
		want    string
	}{
		{":8080", machine, "10.0.1.7:8080"},
		{"0.0.0.0:8080", machine, "10.0.1.7:8080"},
		{"[::]:8080", machine, "10.0.1.7:8080"},
		{":8080", address("::1/128", "2001:db8::7/64"), "[2001:db8::7]:8080"},
		{":8080", address("127.0.0.1/8"), ":8080"},
		{":8080", func() ([]net.Addr, error) { return nil, errors.New("planted") }, ":8080"},
		{"127.0.0.1:8080", machine, "127.0.0.1:8080"},
		{"worker-3.internal:8080", machine, "worker-3.internal:8080"},
		{"", machine, ""},
	} {
		if got := advertised(c.address, c.machine); got != c.want {
			t.Errorf("%q is advertised as %q, want %q", c.address, got, c.want)
		}
	}
}
