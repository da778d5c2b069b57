package lease

import (
	"strings"
	"testing"
	"time"

	"aws-streaming-pipeline/checkpoint"
)

func TestConfig_DefaultsFollowTheFailoverTime(t *testing.T) {
	c := Config{Worker: "w", Application: "a", Failover: 30 * time.Second}
	if err := c.fill(); err != nil {
		t.Fatal(err)
	}
	want := Config{
		Worker: "w", Application: "a", Initial: checkpoint.TrimHorizon, Failover: 30 * time.Second, Heartbeat: 10 * time.Second,
		ScanEvery: 15 * time.Second, ListEvery: 20 * time.Second, Grace: 30 * time.Second,
	}
	if c != want {
		t.Errorf("config = %+v\nwant %+v", c, want)
	}
}

func TestConfig_NamesEveryFault(t *testing.T) {
	c := Config{Failover: time.Second, Heartbeat: time.Second, ScanEvery: time.Minute, MaxLeases: -1, Initial: checkpoint.ShardEnd, Grace: -1}
	err := c.fill()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"worker", "application", "grace", "heartbeat", "scan interval", "max leases", "initial position"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error does not name the %s: %v", part, err)
		}
	}
}

func TestConfig_TakesTheInitialPositions(t *testing.T) {
	for position, ok := range map[checkpoint.Position]bool{
		checkpoint.TrimHorizon: true, Latest: true, checkpoint.AtTimestamp(time.Now()): true, "": true,
		checkpoint.ShardEnd: false, "yesterday": false,
	} {
		c := Config{Worker: "w", Application: "a", Initial: position}
		if err := c.fill(); (err == nil) != ok {
			t.Errorf("initial position %q: %v", position, err)
		}
	}
}
