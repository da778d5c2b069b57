package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// answer is what a function returns.
type answer struct {
	Records []answered `json:"records"`
}

type answered struct {
	RecordID string  `json:"recordId"`
	Result   string  `json:"result"`
	Data     payload `json:"data"`
	Metadata struct {
		PartitionKeys map[string]scalar `json:"partitionKeys"`
	} `json:"metadata"`
}

// payload is the data of a record.
type payload struct {
	bytes []byte
	fault string // why there are none
}

// UnmarshalJSON never fails, so that one record does not spoil those after it.
func (p *payload) UnmarshalJSON(text []byte) error {
	*p = payload{fault: wrongData}
	if string(text) == "null" {
		p.fault = noData
		return nil
	}
	coded, ok := bytes.CutPrefix(text, []byte{'"'})
	if !ok {
		return nil
	}
	coded = coded[:len(coded)-1]
	if bytes.IndexByte(coded, '\\') >= 0 { // some languages write \/ and \n
		var plain string
		if json.Unmarshal(text, &plain) != nil {
			return nil
		}
		coded = []byte(plain)
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(coded)))
	n, err := base64.StdEncoding.Decode(decoded, coded)
	if err == nil {
		*p = payload{bytes: decoded[:n]}
	}
	return nil
}

// scalar is the value of a partition key: a text, or a number or boolean as it is written. Others are empty, which no
// partition key may be.
type scalar string

// UnmarshalJSON never fails.
func (s *scalar) UnmarshalJSON(text []byte) error {
	*s = ""
	switch text[0] {
	case '"':
		var plain string
		_ = json.Unmarshal(text, &plain) // the decoder has found that it is a text
		*s = scalar(plain)
	case '{', '[', 'n':
	default:
		*s = scalar(text)
	}
	return nil
}

// errNotJSON means that an answer did not come from a function, whose runtimes answer with JSON whatever happens.
var errNotJSON = errors.New("the answer is not JSON")

// decide gives each record of the call its fate by the function's answer. It returns how many entries of the answer name no
// record of the call; they mean nothing, for Firehose either. The only error is errNotJSON.
func (c *call) decide(text []byte) (extra int, err error) {
	var a answer
	// Members of other types than documented are as if they were missing.
	if err := json.Unmarshal(text, &a); err != nil {
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok {
			return 0, errNotJSON
		}
	}
	at := make(map[string]*result, len(c.records))
	for i, r := range c.records {
		c.results[i].fail(CodeMissingRecordID, messages[CodeMissingRecordID])
		at[r.EventID()] = c.results[i]
	}
	seen := make(map[string]bool, len(a.Records))
	for i := range a.Records {
		got := &a.Records[i]
		r := at[got.RecordID]
		switch {
		case r == nil:
			extra++
		case seen[got.RecordID]:
			r.fail(CodeDuplicatedRecordID, messages[CodeDuplicatedRecordID])
		default:
			seen[got.RecordID] = true
			r.decide(got)
		}
	}
	return extra, nil
}

func (r *result) decide(got *answered) {
	switch got.Result {
	case "Ok":
		if got.Data.bytes == nil {
			fault := got.Data.fault
			if fault == "" {
				fault = noData
			}
			r.fail(CodeInvalidReturnFormat, fault)
			return
		}
		*r = result{fate: changed, data: got.Data.bytes, keys: got.keys()}
	case "Dropped":
		*r = result{fate: dropped}
	case "ProcessingFailed":
		r.fail(CodeProcessingFailedStatus, messages[CodeProcessingFailedStatus])
	default:
		r.fail(CodeInvalidReturnFormat, wrongResult)
	}
}

func (a *answered) keys() map[string]string {
	if len(a.Metadata.PartitionKeys) == 0 {
		return nil
	}
	keys := make(map[string]string, len(a.Metadata.PartitionKeys))
	for name, value := range a.Metadata.PartitionKeys {
		keys[name] = string(value)
	}
	return keys
}
