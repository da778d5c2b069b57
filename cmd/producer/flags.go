package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// flags is a flag.FlagSet that continues after an invalid value, so that all faults are reported at once.
type flags struct {
	set     *flag.FlagSet
	entries []entry // in the order of the help text
	faults  []error
}

// entry is a line of the help text.
type entry struct{ name, argument, standard, usage string }

func newFlags(name string) *flags {
	f := &flags{set: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.set.SetOutput(io.Discard)
	f.set.Usage = func() {}
	return f
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
	v := &value{text: fmt.Sprint(*to)}
	_, v.boolean = any(*to).(bool)
	v.set = func(text string) {
		got, err := k.parse(text)
		if err != nil {
			f.fault(name, text, k.want)
			return
		}
		*to = got
	}
	f.entries = append(f.entries, entry{name, k.argument, v.text, usage})
	f.set.Var(v, name, usage)
}

// value is a flag.Value whose Set never fails.
type value struct {
	text    string
	boolean bool
	set     func(string)
}

func (v *value) String() string   { return v.text }
func (v *value) IsBoolFlag() bool { return v.boolean }
func (v *value) Set(text string) error {
	v.text = text
	v.set(text)
	return nil
}

// parse reads the command line and records faults. The error is flag.ErrHelp if help was requested.
func (f *flags) parse(args []string) error {
	err := f.set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		f.faults = append(f.faults, fmt.Errorf("%w; --help lists the flags", err))
	} else if f.set.NArg() > 0 {
		f.faults = append(f.faults, fmt.Errorf("%q: want only flags", strings.Join(f.set.Args(), " ")))
	}
	return nil
}

// help lists the flags.
func (f *flags) help(w io.Writer) {
	for _, e := range f.entries {
		head := "--" + e.name + " " + e.argument
		usage := strings.ReplaceAll(e.usage, "\n", "\n"+strings.Repeat(" ", helpColumn))
		fmt.Fprintf(w, "  %-*s%s", helpColumn-2, head, usage)
		if e.standard != "" && e.standard != "0" && e.standard != "false" {
			fmt.Fprintf(w, " (default %s)", e.standard)
		}
		fmt.Fprintln(w)
	}
}

const helpColumn = 28

func positiveTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("not positive")
	}
	return d, err
}
