package simulate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression evaluates the part of DynamoDB's expressions that checkpoint/dynamo uses, on one item. An expression that it does not
// understand is a fault of the simulation, and panics.
type expression struct {
	item   item
	names  map[string]string
	values item
	tokens []string
}

var token = regexp.MustCompile(`[#:]?\w+|<=|>=|<>|[=<>(),+-]`)

func newExpression(it item, text *string, names map[string]string, values item) *expression {
	e := &expression{item: it, names: names, values: values}
	if text != nil {
		e.tokens = token.FindAllString(*text, -1)
	}
	return e
}

// holds reports whether the condition holds; no condition always does.
func (e *expression) holds() bool {
	if len(e.tokens) == 0 {
		return true
	}
	ok := e.or()
	if len(e.tokens) > 0 {
		panic(fmt.Sprintf("condition goes on with %q", e.tokens))
	}
	return ok
}

func (e *expression) or() bool {
	ok := e.and()
	for e.accept("OR") {
		ok = e.and() || ok
	}
	return ok
}

func (e *expression) and() bool {
	ok := e.not()
	for e.accept("AND") {
		ok = e.not() && ok
	}
	return ok
}

func (e *expression) not() bool {
	if e.accept("NOT") {
		return !e.not()
	}
	if e.accept("(") {
		ok := e.or()
		e.want(")")
		return ok
	}
	return e.predicate()
}

func (e *expression) predicate() bool {
	switch first := e.next(); first {
	case "attribute_exists", "attribute_not_exists", "contains":
		e.want("(")
		v := e.operand(e.next())
		ok := (v != nil) == (first == "attribute_exists")
		if first == "contains" {
			e.want(",")
			ok = hasMember(v, e.operand(e.next()))
		}
		e.want(")")
		return ok
	default:
		return e.comparison(e.operand(first))
	}
}

func (e *expression) comparison(left types.AttributeValue) bool {
	operator := e.next()
	if operator == "IN" {
		e.want("(")
		found := false
		for {
			found = same(left, e.operand(e.next())) || found
			if !e.accept(",") {
				break
			}
		}
		e.want(")")
		return found
	}
	right := e.operand(e.next())
	if operator == "=" || operator == "<>" {
		return same(left, right) == (operator == "=")
	}
	order, comparable := compare(left, right)
	return comparable && map[string]bool{"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]
}

// operand is an attribute of the item, or a value; nil if the item lacks the attribute.
func (e *expression) operand(name string) types.AttributeValue {
	if strings.HasPrefix(name, ":") {
		v, ok := e.values[name]
		if !ok {
			panic("no value " + name)
		}
		return v
	}
	return e.item[e.attribute(name)]
}

func (e *expression) attribute(name string) string {
	if !strings.HasPrefix(name, "#") {
		return name
	}
	attribute, ok := e.names[name]
	if !ok {
		panic("no name " + name)
	}
	return attribute
}

// update returns the item as an update leaves it.
func (e *expression) update(after item) item {
	for len(e.tokens) > 0 {
		switch clause := e.next(); clause {
		case "SET":
			e.each(func(name string) { e.want("="); after[name] = e.value() })
		case "REMOVE":
			e.each(func(name string) { delete(after, name) })
		case "ADD":
			e.each(func(name string) { after[name] = add(e.item[name], e.operand(e.next())) })
		default:
			panic("clause " + clause)
		}
	}
	return after
}

func (e *expression) each(f func(attribute string)) {
	for {
		f(e.attribute(e.next()))
		if !e.accept(",") {
			return
		}
	}
}

// value is what SET gives an attribute.
func (e *expression) value() types.AttributeValue {
	if !e.accept("if_not_exists") {
		v := e.operand(e.next())
		if e.accept("+") {
			v = add(v, e.operand(e.next()))
		}
		return v
	}
	e.want("(")
	v := e.operand(e.next())
	e.want(",")
	other := e.operand(e.next())
	e.want(")")
	if v == nil {
		v = other
	}
	return v
}

func (e *expression) next() string {
	if len(e.tokens) == 0 {
		panic("the expression breaks off")
	}
	t := e.tokens[0]
	e.tokens = e.tokens[1:]
	return t
}

func (e *expression) accept(t string) bool {
	if len(e.tokens) == 0 || e.tokens[0] != t {
		return false
	}
	e.tokens = e.tokens[1:]
	return true
}

func (e *expression) want(t string) {
	if !e.accept(t) {
		panic(fmt.Sprintf("want %s before %q", t, e.tokens))
	}
}

func same(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberSS:
		b, ok := b.(*types.AttributeValueMemberSS)
		return ok && slices.Equal(slices.Sorted(slices.Values(a.Value)), slices.Sorted(slices.Values(b.Value)))
	case *types.AttributeValueMemberB:
		b, ok := b.(*types.AttributeValueMemberB)
		return ok && slices.Equal(a.Value, b.Value)
	}
	order, comparable := compare(a, b)
	return comparable && order == 0
}

// compare compares two strings or two integers.
func compare(a, b types.AttributeValue) (order int, comparable bool) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		if b, ok := b.(*types.AttributeValueMemberS); ok {
			return strings.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberN:
		if b, ok := b.(*types.AttributeValueMemberN); ok {
			return int(max(-1, min(1, integer(a)-integer(b)))), true
		}
	}
	return 0, false
}

func integer(n *types.AttributeValueMemberN) int64 {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		panic(err)
	}
	return i
}

func hasMember(set, member types.AttributeValue) bool {
	s, ok := set.(*types.AttributeValueMemberSS)
	m, isString := member.(*types.AttributeValueMemberS)
	return ok && isString && slices.Contains(s.Value, m.Value)
}

// add adds to a number, or members to a set; a missing attribute is 0 or empty.
func add(to, more types.AttributeValue) types.AttributeValue {
	switch more := more.(type) {
	case *types.AttributeValueMemberN:
		sum := integer(more)
		if n, ok := to.(*types.AttributeValueMemberN); ok {
			sum += integer(n)
		}
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(sum, 10)}
	case *types.AttributeValueMemberSS:
		members := slices.Clone(more.Value)
		if s, ok := to.(*types.AttributeValueMemberSS); ok {
			members = append(members, s.Value...)
		}
		slices.Sort(members)
		return &types.AttributeValueMemberSS{Value: slices.Compact(members)}
	case *types.AttributeValueMemberNS:
		members := slices.Clone(more.Value)
		if s, ok := to.(*types.AttributeValueMemberNS); ok {
			members = append(members, s.Value...)
		}
		slices.Sort(members)
		return &types.AttributeValueMemberNS{Value: slices.Compact(members)}
	}
	panic(fmt.Sprintf("add %T", more))
}
