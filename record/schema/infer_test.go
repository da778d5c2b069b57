package schema

import (
	"fmt"
	"strings"
	"testing"
)

// An Inferrer lives as long as the process, and each record may have names that none had before.
func TestInferrer_RemembersABoundedNumberOfMembers(t *testing.T) {
	i := NewInferrer()
	for n := range 300 {
		var members []string
		for m := range 300 {
			members = append(members, fmt.Sprintf(`"a%d":{"b%d":[{"c%d":1}]}`, n*300+m, n, m))
		}
		if err := i.Add([]byte(`{"x":1,"g":{` + strings.Join(members, ",") + `},"` + strings.Repeat("l", 1000) + `":{"y":1},"last":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(i.root); n > maxObserved+1000 {
		t.Errorf("%d members and elements are remembered", n)
	}
	var names []string
	for _, f := range i.Schema().Fields {
		names = append(names, f.Name)
	}
	if got := fmt.Sprint(names); got != "[x g last]" {
		t.Errorf("the columns are %.100s", got)
	}
}

func count(o *observed) int {
	n := 1
	for _, member := range o.members.values {
		n += count(member)
	}
	if o.element != nil {
		n += count(o.element)
	}
	return n
}
