package loader

import (
	"encoding/json"

	"aws-streaming-pipeline/record/table"
)

// columns is a set of columns, in the order in which they were added.
type columns struct {
	list []table.Column
	keys map[string]bool
}

// add adds columns, and returns those that are new.
func (c *columns) add(list []table.Column) (added []table.Column) {
	for _, column := range list {
		if key := columnKey(column); !c.keys[key] {
			if c.keys == nil {
				c.keys = make(map[string]bool)
			}
			c.keys[key] = true
			added = append(added, column)
		}
	}
	c.list = append(c.list, added...)
	return added
}

// without returns those that are not in other.
func (c *columns) without(other *columns) (rest []table.Column) {
	for _, column := range c.list {
		if !other.keys[columnKey(column)] {
			rest = append(rest, column)
		}
	}
	return rest
}

func columnKey(c table.Column) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Column consists of texts and numbers
	}
	return string(text)
}
