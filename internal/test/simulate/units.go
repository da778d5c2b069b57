package simulate

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type item = map[string]types.AttributeValue

// The rules of units are those of the Amazon DynamoDB Developer Guide, "DynamoDB read and write operations".
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
	pageBytes = 1 << 20 // of one answer to Scan
)

// readUnits are those of reading so many bytes at once; eventually consistent reads cost half. Reading nothing costs as much as
// reading little.
func readUnits(bytes int, consistent bool) float64 {
	units := float64(max(1, (bytes+readUnit-1)/readUnit))
	if !consistent {
		units /= 2
	}
	return units
}

// writeUnits are those of a write to an item that had so many bytes before and has so many after it.
func writeUnits(before, after int) float64 {
	return float64(max(1, (max(before, after)+writeUnit-1)/writeUnit))
}

// size is the size of an item, with the names of its attributes ("DynamoDB item sizes and formats").
func size(it item) int {
	n := 0
	for name, v := range it {
		n += len(name) + valueSize(v)
	}
	return n
}

func valueSize(v types.AttributeValue) int {
	n := 0
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return numberSize(v.Value)
	case *types.AttributeValueMemberSS:
		for _, s := range v.Value {
			n += len(s)
		}
	case *types.AttributeValueMemberNS:
		for _, s := range v.Value {
			n += numberSize(s)
		}
	case *types.AttributeValueMemberL:
		n = 3
		for _, member := range v.Value {
			n += 1 + valueSize(member)
		}
	case *types.AttributeValueMemberM:
		n = 3 + len(v.Value) + size(v.Value)
	default: // a null, a Boolean
		n = 1
	}
	return n
}

// numberSize is a byte per two significant digits, and one more.
func numberSize(text string) int {
	return (len(strings.Trim(strings.TrimLeft(text, "-"), "0"))+1)/2 + 1
}
