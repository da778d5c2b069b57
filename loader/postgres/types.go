package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// columnType is the type of a column, as the catalog pg_type describes it.
type columnType struct {
	oid     uint32
	name    string // as in SQL, such as timestamp with time zone
	form    form
	element *columnType // of an array
}

// form is how the values of a type are sent in the binary format: what the type's receive function reads.
type form uint8

const (
	unsupported form = iota
	formBool
	formInt2
	formInt4
	formInt8
	formFloat4
	formFloat8
	formNumeric
	formText
	formName // at most 63 bytes
	formJSON
	formJSONB
	formUUID
	formDate
	formTimestamp
	formTimestampTZ
	formArray
)

// forms are those of the built-in types, by OID, which never changes (src/include/catalog/pg_type.dat).
var forms = map[uint32]form{
	16: formBool, 21: formInt2, 23: formInt4, 20: formInt8, 700: formFloat4, 701: formFloat8, 1700: formNumeric,
	25: formText, 1043: formText, 1042: formText, 19: formName, 114: formJSON, 3802: formJSONB, 2950: formUUID,
	1082: formDate, 1114: formTimestamp, 1184: formTimestampTZ,
}

// supported reports whether an encoder has values for columns of the type. Not supported are types that JSON has no values for,
// such as bytea, interval or inet: what a text means there would be a guess.
func (t *columnType) supported() bool { return t.form != unsupported }

// catalogType is a row of pg_type.
type catalogType struct {
	OID      uint32 `db:"oid"`
	Name     string `db:"name"`
	Internal string `db:"typname"`
	Type     string `db:"typtype"`
	Base     uint32 `db:"typbasetype"`
	Element  uint32 `db:"element"` // 0 unless it is an array
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// typesQuery returns types, with the base types of domains and the element types of arrays.
const typesQuery = `
WITH RECURSIVE types AS (
	SELECT oid, typname, typtype, typbasetype, CASE WHEN typcategory = 'A' AND typlen = -1 THEN typelem ELSE 0 END AS element
	FROM pg_catalog.pg_type WHERE oid = ANY ($1)
	UNION
	SELECT t.oid, t.typname, t.typtype, t.typbasetype, CASE WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem ELSE 0 END
	FROM pg_catalog.pg_type t JOIN types ON t.oid IN (types.typbasetype, types.element)
)
SELECT oid, pg_catalog.format_type(oid, NULL) AS name, typname::text, typtype::text, typbasetype, element FROM types`

// readTypes reads the types of columns from the catalog: pg_attribute.atttypid names them.
func readTypes(ctx context.Context, from querier, oids []uint32) (map[uint32]*columnType, error) {
	found, err := from.Query(ctx, typesQuery, oids)
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByName[catalogType])
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	catalog := make(map[uint32]catalogType, len(list))
	for _, t := range list {
		catalog[t.OID] = t
	}
	types := make(map[uint32]*columnType, len(oids))
	for _, oid := range oids {
		if types[oid] = typeOf(catalog, oid); types[oid] == nil {
			return nil, fmt.Errorf("read types of columns: the catalog has no type %d", oid)
		}
	}
	return types, nil
}

// typeOf builds a type; nil if the catalog does not have it. Of a domain it is the base type: the receive function of a domain reads
// that, and checks the domain's constraints and its length itself.
func typeOf(catalog map[uint32]catalogType, oid uint32) *columnType {
	t, ok := catalog[oid]
	if !ok {
		return nil
	}
	if t.Type == "d" {
		base := typeOf(catalog, t.Base)
		if base == nil {
			return nil
		}
		domain := *base
		domain.oid = oid // what the header of an array names is the element's own type
		return &domain
	}
	typ := &columnType{oid: oid, name: t.Name, form: forms[oid]}
	switch {
	case t.Type == "e", t.Type == "b" && t.Internal == "citext":
		typ.form = formText // the receive functions of enums and of citext read text
	case t.Element != 0 && t.Internal[0] == '_': // int2vector and oidvector are arrays for the system's own use
		typ.element = typeOf(catalog, t.Element)
		if typ.element != nil && typ.element.supported() && typ.element.form != formArray {
			typ.form = formArray
		}
	}
	return typ
}
