// Package settings reads a program's environment variables into a struct whose tags describe them, and reports all faults
// at once.
//
//	type Config struct {
//		BatchConfig `group:"Batches"`
//	}
//
//	type BatchConfig struct {
//		Bucket   string        `envconfig:"BUCKET" required:"true" desc:"Name of the S3 bucket."`
//		Interval time.Duration `envconfig:"COMMIT_INTERVAL" default:"5m" min:"1s" max:"24h" desc:"Longest wait for a commit."`
//		Split    string        `envconfig:"SPLIT_RECORDS" default:"none" oneof:"none,json,lines" desc:"..."`
//		Stream   string        `envconfig:"STREAM_NAME" pattern:"^[a-z]+$" form:"a name of letters" desc:"..."` // form describes pattern
//		Token    string        `envconfig:"TOKEN" secret:"true" desc:"..."` // errors do not show its value
//	}
//
// The settings of one subject form an embedded struct, so that programs can share them and use the fields as their own. The
// documentation, the chart and its schema are generated from the same tags.
package settings

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Read sets the fields of a struct from the environment and returns what is wrong with them: a variable that is missing,
// does not parse, or breaks a rule of its tags. A field whose variable does not parse keeps its default.
func Read(into any) *Faults {
	f := newFaults(into)
	eachField(reflect.ValueOf(into).Elem(), func(s Setting, field reflect.StructField, value reflect.Value) {
		// envconfig stops at its first error, so it is given one field after another.
		one := reflect.New(reflect.StructOf([]reflect.StructField{field}))
		err := envconfig.Process("", one.Interface())
		if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
			f.written[s.Name] = parse.Value
			f.Check(false, s.Name, s.Want())
			setDefault(s, value)
			return
		}
		value.Set(one.Elem().Field(0))
		f.written[s.Name] = text(value)
		if set, ok := os.LookupEnv(s.Name); ok {
			f.written[s.Name] = set
		}
		f.checkRules(s, value)
	})
	return f
}

// Of returns what is wrong with the fields of a struct by the rules of their tags.
func Of(config any) *Faults {
	f := newFaults(config)
	eachField(reflect.ValueOf(config).Elem(), func(s Setting, _ reflect.StructField, value reflect.Value) {
		f.written[s.Name] = text(value)
		f.checkRules(s, value)
	})
	return f
}

// eachField calls do for each field that is a setting, in the order of declaration.
func eachField(v reflect.Value, do func(Setting, reflect.StructField, reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			eachField(v.Field(i), do)
			continue
		}
		do(describe(field), field, v.Field(i))
	}
}

// SetDefaults sets the fields of a struct to their defaults. It panics if a default does not parse.
func SetDefaults(into any) {
	eachField(reflect.ValueOf(into).Elem(), func(s Setting, _ reflect.StructField, value reflect.Value) { setDefault(s, value) })
}

func setDefault(s Setting, field reflect.Value) {
	if s.Default != "" {
		field.Set(mustParse(s.Name, field.Type(), s.Default))
	}
}

// mustParse parses the text of a tag. It panics if the text does not parse: the tag is wrong.
func mustParse(name string, kind reflect.Type, text string) reflect.Value {
	value := reflect.New(kind)
	if err := parse(value.Interface(), text); err != nil {
		panic(fmt.Sprintf("settings: tags of %s: %v", name, err))
	}
	return value.Elem()
}

// parse sets a field from a text, as envconfig does.
func parse(field any, text string) (err error) {
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
		err = fmt.Errorf("a setting cannot be of type %T", field)
	}
	return err
}
