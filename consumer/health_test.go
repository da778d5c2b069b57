package consumer

import (
	"errors"
	"slices"
	"testing"

	"aws-streaming-pipeline/internal/localstream"
)

// ailing is a sink whose requests fail.
type ailing struct{ Sink }

func (ailing) Health() error { return errors.New("planted") }

// A wrapper of the sink passes its health on.
func TestChecks_SeeTheHealthOfASinkBehindAnother(t *testing.T) {
	st := newStage(t, 1, localstream.Options{})
	st.wrap = func(s Sink) Sink { return struct{ Sink }{ailing{s}} }
	d := st.daemon(func(*Config) {})
	i := slices.IndexFunc(d.checks(), func(c Check) bool { return c.Name == "s3" })
	if got := d.checks()[i].Problem; got != "planted" {
		t.Errorf("the check s3 says %q", got)
	}
}
