package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/consumer/transform/function"
	"aws-streaming-pipeline/internal/lambdas"
	"aws-streaming-pipeline/loader"
	"aws-streaming-pipeline/record"
	"aws-streaming-pipeline/record/prefix"
	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/table"
)

// codes is the table of the codes of error records.
func codes() string {
	all := slices.Concat(record.Codes(), prefix.Codes(), schema.Codes(), table.Codes(), transform.Codes(), function.Codes(), loader.Codes(), lambdas.FaultCodes())
	slices.SortFunc(all, func(a, b record.Code) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("| code | kind | meaning |\n|---|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, c.Type, cell(c.Meaning))
	}
	return b.String()
}
