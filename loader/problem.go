package loader

import (
	"encoding/json"
	"errors"
	"fmt"

	"aws-streaming-pipeline/checkpoint"
	"aws-streaming-pipeline/record/table"
)

// Problem is an error of a batch itself: the others may be loaded all the same.
type Problem struct {
	Reason Reason
	Err    error // names what is wrong, and never what is in a record
	// Batch is the id of the batch, in errors of State.Append. Others need not say it.
	Batch string
}

func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

// Describe decodes the description of a file that was written for the table with that UUID. Its error is a *Problem.
func Describe(f *checkpoint.File, uuid string) (d table.Description, err error) {
	if len(f.Table) == 0 {
		return d, &Problem{Reason: BadDescription, Err: errors.New("it has no description for tables")}
	}
	if err := json.Unmarshal(f.Table, &d); err != nil {
		return d, &Problem{Reason: BadDescription, Err: fmt.Errorf("decode its description: %w", err)}
	}
	if d.UUID != uuid {
		return d, &Problem{Reason: OtherUUID, Err: fmt.Errorf("it was written for the table with UUID %q, this one has %q", d.UUID, uuid)}
	}
	return d, nil
}

// check passes a file by State.Check. Its error is a *Problem that names the file.
func check(state State, f *checkpoint.File) ([]table.Column, error) {
	wanted, err := state.Check(f)
	if err == nil {
		return wanted, nil
	}
	reason := Unfit
	if p, ok := errors.AsType[*Problem](err); ok {
		reason = p.Reason
	}
	return nil, &Problem{Reason: reason, Err: fmt.Errorf("file s3://%s/%s: %w", f.Bucket, f.Key, err)}
}
