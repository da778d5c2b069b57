package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// flags are flags that take invalid values, so that all faults are reported at once.
type flags struct {
	set    *pflag.FlagSet
	faults []error
}

// fault notes that the value of a flag cannot be used.
func (f *flags) fault(name, value, want string) {
	f.faults = append(f.faults, fmt.Errorf("--%s=%q: want %s", name, value, want))
}

// kind is a type of flag values.
type kind[T any] struct {
	argument string // its name in the help text
	want     string // its description in a fault
	parse    func(string) (T, error)
}

// add defines a flag that sets *to, whose current value is the default.
func add[T any](f *flags, to *T, name string, k kind[T], usage string) {
	v := &value{text: fmt.Sprint(*to), argument: k.argument}
	v.set = func(text string) {
		got, err := k.parse(text)
		if err != nil {
			f.fault(name, text, k.want)
			return
		}
		*to = got
	}
	flag := f.set.VarPF(v, name, "", usage)
	if _, ok := any(*to).(bool); ok {
		v.argument, flag.NoOptDefVal = "bool", "true"
	}
}

// value is a pflag.Value whose Set never fails.
type value struct {
	text     string
	argument string // its name in the help text
	set      func(string)
}

func (v *value) String() string { return v.text }
func (v *value) Type() string   { return v.argument }
func (v *value) Set(text string) error {
	v.text = text
	v.set(text)
	return nil
}

func positiveTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("not positive")
	}
	return d, err
}
