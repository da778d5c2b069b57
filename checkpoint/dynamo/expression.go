package dynamo

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Expressions write attribute names as "#name": many of ours are reserved words of DynamoDB.

// names maps "#name" to each name.
func names(attributes ...string) map[string]string {
	m := make(map[string]string, len(attributes))
	for _, a := range attributes {
		m["#"+a] = a
	}
	return m
}

// projection asks for the attributes.
func projection(attributes ...string) *string {
	s := "#" + strings.Join(attributes, ", #")
	return &s
}

// expression collects the conditions and the assignments of one write.
type expression struct {
	conditions []string
	sets       []string
	removes    []string
	adds       []string
	names      map[string]string
	values     map[string]types.AttributeValue
}

func (e *expression) name(attribute string) string {
	if e.names == nil {
		e.names = map[string]string{}
	}
	e.names["#"+attribute] = attribute
	return "#" + attribute
}

func (e *expression) value(name string, v types.AttributeValue) string {
	if e.values == nil {
		e.values = map[string]types.AttributeValue{}
	}
	e.values[":"+name] = v
	return ":" + name
}

// equal adds the condition that an attribute has a value.
func (e *expression) equal(attribute string, v types.AttributeValue) {
	e.conditions = append(e.conditions, e.name(attribute)+" = "+e.value("old_"+attribute, v))
}

// absent adds the condition that an attribute does not exist; on the key this means that the item does not exist.
func (e *expression) absent(attribute string) {
	e.conditions = append(e.conditions, "attribute_not_exists("+e.name(attribute)+")")
}

// below adds the condition that an attribute does not exist or is less than a value.
func (e *expression) below(attribute string, v types.AttributeValue) {
	name := e.name(attribute)
	e.conditions = append(e.conditions, "(attribute_not_exists("+name+") OR "+name+" < "+e.value("below_"+attribute, v)+")")
}

// among adds the condition that an attribute has one of these values.
func (e *expression) among(attribute string, values ...string) {
	e.conditions = append(e.conditions, e.in(attribute, values))
}

// forgettable adds the condition that an item does not exist, is a tombstone, or is a batch for which nothing is left to do.
// Sets are equal if they have the same members.
func (e *expression) forgettable() {
	e.conditions = append(e.conditions, "(attribute_not_exists("+e.name(attrKey)+") OR "+e.in(attrType, []string{typeBatch, typeListed, typeTombstone})+
		" OR ("+e.name(attrType)+" = "+e.value("is_tables", str(typeTables))+" AND "+e.name(attrLoaded)+" = "+e.name(attrTables)+"))")
}

// contains adds the condition that a set has a member.
func (e *expression) contains(attribute, member string) {
	e.conditions = append(e.conditions, "contains("+e.name(attribute)+", "+e.value("in_"+attribute, str(member))+")")
}

// setOnce sets an attribute unless it has a value.
func (e *expression) setOnce(attribute string, v types.AttributeValue) {
	e.sets = append(e.sets, fmt.Sprintf("%s = if_not_exists(%s, %s)", e.name(attribute), e.name(attribute), e.value("new_"+attribute, v)))
}

func (e *expression) in(attribute string, values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = e.value(fmt.Sprintf("is%d_%s", i, attribute), str(v))
	}
	return e.name(attribute) + " IN (" + strings.Join(list, ", ") + ")"
}

// owned adds the condition that a lease has this owner and counter.
func (e *expression) owned(owner string, counter int64) {
	e.equal(attrCounter, num(counter))
	e.holds(attrOwner, owner)
}

// holds adds the condition that an attribute has a value, or does not exist if the value is empty.
func (e *expression) holds(attribute, value string) {
	if value == "" {
		e.absent(attribute)
		return
	}
	e.equal(attribute, str(value))
}

// notAfter adds the condition that an item does not exist, or that its pair of numbers is not above these.
func (e *expression) notAfter(major string, most int64, minor string, least int64) {
	high, low := e.name(major), e.name(minor)
	limit := e.value("most_"+major, num(most))
	e.conditions = append(e.conditions, "(attribute_not_exists("+e.name(attrKey)+") OR "+high+" < "+limit+
		" OR ("+high+" = "+limit+" AND "+low+" <= "+e.value("most_"+minor, num(least))+"))")
}

func (e *expression) set(attribute string, v types.AttributeValue) {
	e.sets = append(e.sets, e.name(attribute)+" = "+e.value("new_"+attribute, v))
}

func (e *expression) remove(attribute string) {
	e.removes = append(e.removes, e.name(attribute))
}

// add adds the members of a set to the attribute's set, or a number to the attribute.
func (e *expression) add(attribute string, v types.AttributeValue) {
	e.adds = append(e.adds, e.name(attribute)+" "+e.value("new_"+attribute, v))
}

func (e *expression) condition() *string {
	s := strings.Join(e.conditions, " AND ")
	return &s
}

func (e *expression) update() *string {
	var clauses []string
	if len(e.sets) > 0 {
		clauses = append(clauses, "SET "+strings.Join(e.sets, ", "))
	}
	if len(e.removes) > 0 {
		clauses = append(clauses, "REMOVE "+strings.Join(e.removes, ", "))
	}
	if len(e.adds) > 0 {
		clauses = append(clauses, "ADD "+strings.Join(e.adds, ", "))
	}
	s := strings.Join(clauses, " ")
	return &s
}
