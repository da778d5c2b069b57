package settings

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Faults collects what is wrong with the settings of one struct: at most one fault per variable, so that the consequences
// of a fault are not reported as well.
type Faults struct {
	names   []string          // of all variables, in the order of the fields
	written map[string]string // the variables' values as texts
	secret  map[string]bool   // variables whose values are not shown
	faults  map[string]error
}

func newFaults(config any) *Faults {
	f := &Faults{written: make(map[string]string), secret: make(map[string]bool), faults: make(map[string]error)}
	eachField(reflect.ValueOf(config).Elem(), func(s Setting, _ reflect.StructField, _ reflect.Value) {
		f.names = append(f.names, s.Name)
		f.secret[s.Name] = s.Secret
	})
	return f
}

// Hide keeps the value of a variable out of its fault, because it seems to hold a secret.
func (f *Faults) Hide(name string) { f.secret[name] = true }

// checkRules checks the value of a field by the rules of its tags.
func (f *Faults) checkRules(s Setting, value reflect.Value) {
	switch optional := s.Default == "" && !s.Required; {
	case s.Required && value.IsZero(): // a variable that is set to nothing is missing, too
		f.faults[s.Name] = fmt.Errorf("%s is required: %s", s.Name, s.brief())
	case len(s.OneOf) > 0:
		f.Check(optional && value.IsZero() || slices.Contains(s.OneOf, value.String()), s.Name, s.Want())
	case s.Min != "" && less(value, mustParse(s.Name, value.Type(), s.Min)), s.Max != "" && less(mustParse(s.Name, value.Type(), s.Max), value):
		f.Check(false, s.Name, s.Want())
	case s.Pattern != "":
		f.Check(optional && value.IsZero() || regexp.MustCompile(s.Pattern).MatchString(value.String()), s.Name, s.Want())
	}
}

// brief returns the first sentence of a setting's meaning, to follow a colon.
func (s Setting) brief() string {
	sentence, _, _ := strings.Cut(s.Meaning, ". ")
	sentence = strings.TrimSuffix(sentence, ".")
	if sentence == "" {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

// less compares numbers. It is true where one of them is NaN, which is within no bounds.
func less(a, b reflect.Value) bool {
	if a.CanFloat() {
		return !(a.Float() >= b.Float())
	}
	return a.Int() < b.Int()
}

// text formats a value as in a setting.
func text(v reflect.Value) string {
	d, ok := v.Interface().(time.Duration)
	if !ok {
		return fmt.Sprint(v.Interface())
	}
	t := d.String() // 1h0m0s
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(t, zero) {
			t = t[:len(t)-2]
		}
	}
	return t
}

// Check adds a fault that names the variable, its value and what is wanted, unless ok is true.
func (f *Faults) Check(ok bool, name, want string) {
	if !ok {
		f.Add(name, errors.New("want "+want))
	}
}

// AtDefault checks that variables of a struct that is part of the settings have their defaults: those named, or all of them if
// names is nil. The text says when they may have other values, such as "unless FORMAT=parquet".
func (f *Faults) AtDefault(part any, names []string, unless string) {
	eachField(reflect.ValueOf(part).Elem(), func(s Setting, _ reflect.StructField, value reflect.Value) {
		if names != nil && !slices.Contains(names, s.Name) {
			return
		}
		unset := reflect.New(value.Type()).Elem()
		setDefault(s, unset)
		f.Check(value.Equal(unset), s.Name, cmp.Or(s.Default, "nothing")+" "+unless)
	})
}

// OneOf checks that the value of a variable is one of those allowed.
func (f *Faults) OneOf(name, value string, allowed ...string) {
	f.Check(slices.Contains(allowed, value), name, Either(allowed))
}

// Add adds an error in the value of a variable; it ignores nil, and a second fault of the same variable. It panics if there
// is no such variable.
func (f *Faults) Add(name string, err error) {
	if !slices.Contains(f.names, name) {
		panic("settings: there is no variable " + name)
	}
	switch {
	case err == nil || f.faults[name] != nil:
	case f.secret[name]:
		f.faults[name] = fmt.Errorf("%s: %w", name, err)
	default:
		f.faults[name] = fmt.Errorf("%s=%q: %w", name, f.written[name], err)
	}
}

// Sound reports whether none of the variables has a fault, so that their values may be compared.
func (f *Faults) Sound(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return f.faults[name] != nil })
}

// Err returns all faults joined in the order of the settings, or nil if there are none.
func (f *Faults) Err() error {
	var all []error
	for _, name := range f.names {
		all = append(all, f.faults[name])
	}
	return errors.Join(all...)
}
