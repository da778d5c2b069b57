package emulator

import "testing"

// A port that the kernel gives to any outgoing connection may be taken before an emulator listens.
func TestFreePorts_AreNotThoseOfOutgoingConnections(t *testing.T) {
	for range 20 {
		ports, err := freePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		if len(ports) != 2 || ports[0] == ports[1] || max(ports[0], ports[1]) >= 32768 {
			t.Fatalf("ports %v, want two below 32768", ports)
		}
	}
}
