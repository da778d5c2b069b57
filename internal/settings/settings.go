// Package settings reads a program's environment variables into a struct whose tags say their names, defaults and
// meanings, and reports every fault at once.
//
//	type Config struct {
//		Bucket string        `envconfig:"BUCKET" required:"true" desc:"S3 bucket of the files"`
//		Grace  time.Duration `envconfig:"SHUTDOWN_GRACE" default:"30s" desc:"time for the last commit"`
//	}
//
// Settings that several programs share stand in structs of their own and are embedded.
package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Read sets the fields of a struct from the environment. Its error joins one for each variable that is missing or does
// not parse. The names are those of the tags as they stand there.
func Read(into any) error {
	var faults []error
	eachField(reflect.ValueOf(into).Elem(), func(field reflect.StructField, value reflect.Value) {
		// envconfig stops at its first error, so it is given one field after another.
		one := reflect.New(reflect.StructOf([]reflect.StructField{field}))
		err := envconfig.Process("", one.Interface())
		value.Set(one.Elem().Field(0))
		if err != nil || field.Tag.Get("required") == "true" && value.IsZero() { // envconfig takes a variable that is empty for one that is set
			faults = append(faults, readable(field, err))
		}
	})
	return errors.Join(faults...)
}

// eachField calls do for each field that is a setting, in the order of declaration.
func eachField(v reflect.Value, do func(reflect.StructField, reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			eachField(v.Field(i), do)
			continue
		}
		do(field, v.Field(i))
	}
}

// readable says what envconfig found in the words of the tags.
func readable(field reflect.StructField, err error) error {
	name := field.Tag.Get("envconfig")
	if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
		return fmt.Errorf("%s=%q: %w", name, parse.Value, parse.Err)
	}
	return fmt.Errorf("%s is required: %s", name, field.Tag.Get("desc"))
}

// SetDefaults gives the fields of a struct the values that they have when no variable is set. It panics if a default
// does not parse.
func SetDefaults(into any) {
	eachField(reflect.ValueOf(into).Elem(), func(field reflect.StructField, value reflect.Value) {
		text := field.Tag.Get("default")
		if text == "" {
			return
		}
		if err := set(value.Addr().Interface(), text); err != nil {
			panic(fmt.Sprintf("default of %s: %v", field.Name, err)) // the tags are wrong
		}
	})
}

// set gives a field the value that the text means, as envconfig does.
func set(field any, text string) (err error) {
	switch f := field.(type) {
	case envconfig.Decoder:
		return f.Decode(text)
	case *string:
		*f = text
	case *bool:
		*f, err = strconv.ParseBool(text)
	case *int:
		*f, err = strconv.Atoi(text)
	case *float64:
		*f, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		*f, err = time.ParseDuration(text)
	default:
		err = fmt.Errorf("no text makes a %T", field)
	}
	return err
}

// Setting describes one environment variable.
type Setting struct{ Name, Default, Meaning string }

// List describes the variables of a struct type in the order of its fields.
func List[T any]() []Setting {
	var list []Setting
	eachField(reflect.New(reflect.TypeFor[T]()).Elem(), func(field reflect.StructField, _ reflect.Value) {
		s := Setting{Name: field.Tag.Get("envconfig"), Default: field.Tag.Get("default"), Meaning: field.Tag.Get("desc")}
		if field.Tag.Get("required") == "true" {
			s.Default = "(required)"
		}
		list = append(list, s)
	})
	return list
}

// Faults gathers what is wrong with values that parsed. Its zero value has none.
type Faults struct{ errs []error }

// Check adds a fault, which names the variable, its value and what would be right, unless ok holds.
func (f *Faults) Check(ok bool, name string, value any, want string) {
	if !ok {
		f.Add(fmt.Errorf("%s=%q: want %s", name, fmt.Sprint(value), want))
	}
}

// OneOf checks that the value is one of those allowed.
func (f *Faults) OneOf(name, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	f.Check(false, name, value, "one of "+strings.Join(allowed, ", "))
}

// Within checks that the value lies between two bounds, both included.
func (f *Faults) Within(name string, value, low, high time.Duration) {
	f.Check(value >= low && value <= high, name, value, fmt.Sprintf("%v to %v", low, high))
}

// Add adds a fault; nil adds none.
func (f *Faults) Add(err error) {
	if err != nil {
		f.errs = append(f.errs, err)
	}
}

// Err joins all faults, and is nil if there are none.
func (f *Faults) Err() error { return errors.Join(f.errs...) }
