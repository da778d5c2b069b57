package prefix

import (
	"errors"
	"fmt"
	"strings"
)

// Part names one of the texts of a Config.
type Part string

// The parts of a Config that New checks.
const (
	DataPart  Part = "prefix"
	ErrorPart Part = "error prefix"
	QueryPart Part = "query"
)

// Problem describes what is wrong with one text of a Config. Err says what is wanted, and does not repeat the text.
type Problem struct {
	Part Part
	Err  error
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %v", p.Part, p.Err) }

// Unwrap returns Err.
func (p *Problem) Unwrap() error { return p.Err }

// Problems returns the problems that an error of New joins.
func Problems(err error) []*Problem {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var list []*Problem
	for _, err := range joined.Unwrap() {
		if p, ok := errors.AsType[*Problem](err); ok {
			list = append(list, p)
		}
	}
	return list
}

// problems collects what is wrong, by part in the order of Config.
type problems struct{ texts [3][]string }

var allParts = [...]Part{DataPart, ErrorPart, QueryPart}

// add adds an error; nil adds none.
func (p *problems) add(part Part, err error) {
	if err == nil {
		return
	}
	for i := range allParts {
		if allParts[i] == part {
			p.texts[i] = append(p.texts[i], strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

func (p *problems) err() error {
	var all []error
	for i, texts := range p.texts {
		if len(texts) > 0 {
			all = append(all, &Problem{allParts[i], errors.New(strings.Join(texts, "; "))})
		}
	}
	return errors.Join(all...)
}
