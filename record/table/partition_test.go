package table

import (
	"reflect"
	"strings"
	"testing"
)

var someColumns = []Column{
	{ID: 1, Name: "customer", Member: "customer", Type: "string"},
	{ID: 2, Name: "address", Member: "address", Type: "struct", Fields: []Column{{ID: 3, Name: "zip", Member: "zip", Type: "string"}}},
	{ID: 4, Name: "tags", Member: "tags", Type: "list", Element: &Column{ID: 5, Name: "element", Type: "string"}},
	{ID: 6, Name: "dotted.name", Member: "dotted.name", Type: "long"},
	{ID: 7, Name: "customer_bucket", Member: "customer_bucket", Type: "int"},
	{ID: 8, Name: "_arrived_at", Member: "_arrived_at", Type: "timestamptz"},
	{ID: 9, Name: "_extra", Member: "_extra", Type: "string"},
	{ID: 11, Name: "address_zip", Member: "address_zip", Type: "string"},
	{ID: 10, Name: "full name", Member: "full name", Type: "string"},
}

func TestNewSpec_OfTheSetting(t *testing.T) {
	for text, want := range map[string]Spec{
		"":                 {},
		" ":                {},
		"day(_arrived_at)": {Fields: []PartitionField{{1000, "_arrived_at_day", 8, "day"}}},
		"day(_arrived_at), truncate(3, address.zip) ,identity( customer )": {Fields: []PartitionField{
			{1000, "_arrived_at_day", 8, "day"}, {1001, "address_zip_trunc", 3, "truncate[3]"}, {1002, "customer", 1, "identity"},
		}},
		"bucket(16,dotted.name)": {Fields: []PartitionField{{1000, "dotted_name_bucket", 6, "bucket[16]"}}},
		"identity(full name)":    {Fields: []PartitionField{{1000, "full name", 10, "identity"}}},
	} {
		terms, err := ParsePartition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := NewSpec(terms, someColumns); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
}

func TestNewSpec_SaysWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"customer":                                        `term "customer": want identity(column), year(column)`,
		"days(_arrived_at)":                               `term "days(_arrived_at)": want identity(column)`,
		"day(_arrived_at),":                               `term "": want identity(column)`,
		"bucket(customer)":                                `term "bucket(customer)": want identity(column)`,
		"bucket(0,customer)":                              "with N and W from 1 to 2147483647",
		"bucket(16,customer":                              "want identity(column)",
		"day(3,_arrived_at)":                              "want identity(column)",
		"void(customer)":                                  "want identity(column)",
		"identity(nobody)":                                "term identity(nobody): there is no column nobody",
		"identity(address)":                               "term identity(address): want a column with single values, not a struct",
		"identity(tags)":                                  "not a list",
		"identity(address.street)":                        "there is no column street",
		"day(customer)":                                   "day of a column of type string: want one of type date, timestamp, timestamptz",
		"identity(_extra)":                                "want a column other than _extra",
		"day(_arrived_at),hour(_arrived_at)":              "term hour(_arrived_at): there is day(_arrived_at) already",
		"truncate(3,customer),truncate(4,customer)":       "there is truncate(3,customer) already",
		"bucket(4,customer)":                              "its name would be customer_bucket, which is that of another column",
		"truncate(3,address.zip),truncate(3,address_zip)": "its name would be address_zip_trunc, which is that of another term",
	} {
		terms, err := ParsePartition(text)
		if err == nil {
			_, err = NewSpec(terms, someColumns)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
