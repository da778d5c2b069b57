package record

// The codes of the faults that this package finds, and of those that its callers find and define no code for.
// Codes returns their meanings.
const (
	CodeAggregateCorrupt        = "Aggregate.Corrupt"
	CodeAggregateTooManyRecords = "Aggregate.TooManyRecords"
	CodeGzipCorrupt             = "Gzip.Corrupt"
	CodeGzipTooLarge            = "Gzip.TooLarge"
	CodeJSONEmpty               = "Json.Empty"
	CodeJSONInvalidUTF8         = "Json.InvalidUTF8"
	CodeJSONMalformed           = "Json.Malformed"
	CodeJSONNotAnObject         = "Json.NotAnObject"
	CodeJSONNumberTooLarge      = "Json.NumberTooLarge"
	CodeJSONTooDeep             = "Json.TooDeep"
	CodeJSONTrailingData        = "Json.TrailingData"
	CodeJSONTruncated           = "Json.Truncated"
	CodeRecordPanicked          = "Record.Panicked"
	CodeRegistryFrameCorrupt    = "Registry.FrameCorrupt"
	CodeRegistryPayloadUnfit    = "Registry.PayloadUnfit"
	CodeRegistrySchemaUnknown   = "Registry.SchemaUnknown"
	CodeRegistrySchemaUnusable  = "Registry.SchemaUnusable"
	CodeRegistryTooLarge        = "Registry.TooLarge"
	CodeRouteFailed             = "Route.Failed"
	CodeSplitTooLarge           = "Split.TooLarge"
	CodeSplitTooManyRecords     = "Split.TooManyRecords"
)

// Code is a fault code with its meaning, for documentation and dashboards.
type Code struct {
	Name    string
	Type    OutputType // where records with this fault are written
	Meaning string     // a phrase without a full stop
}

// Codes returns these codes, sorted by name. The caller owns the slice.
func Codes() []Code {
	return []Code{
		{CodeAggregateCorrupt, ProcessingFailed, "a KPL aggregate with the right magic number and checksum, but no readable user records"},
		{CodeAggregateTooManyRecords, ProcessingFailed, "a KPL aggregate with more user records than the bound or its size allows"},
		{CodeGzipCorrupt, ProcessingFailed, "a gzip stream that is damaged or truncated after its header"},
		{CodeGzipTooLarge, ProcessingFailed, "a gzip stream that inflates to more than the bound, or to more than 100 times its size"},
		{CodeJSONEmpty, ProcessingFailed, "an empty payload, or only white space"},
		{CodeJSONInvalidUTF8, ProcessingFailed, "a JSON string that is not valid UTF-8"},
		{CodeJSONMalformed, ProcessingFailed, "invalid JSON: an unexpected byte"},
		{CodeJSONNotAnObject, ProcessingFailed, "a JSON value other than an object"},
		{CodeJSONNumberTooLarge, ProcessingFailed, "a number with more than 400 digits or an exponent beyond 400, used by a schema or a query"},
		{CodeJSONTooDeep, ProcessingFailed, "objects and arrays nested deeper than 1,000 levels"},
		{CodeJSONTrailingData, ProcessingFailed, "something other than white space after the object"},
		{CodeJSONTruncated, ProcessingFailed, "the payload ends within the object"},
		{CodeRecordPanicked, ProcessingFailed, "a bug in this program: please report it, with the message"},
		{CodeRegistryFrameCorrupt, ProcessingFailed, "a schema registry's frame that is damaged or truncated after its first byte"},
		{CodeRegistryPayloadUnfit, ProcessingFailed, "data that do not match the schema that their frame names"},
		{CodeRegistrySchemaUnknown, ProcessingFailed, "a frame that names a schema version unknown to the registry"},
		{CodeRegistrySchemaUnusable, ProcessingFailed, "a frame that names a schema version whose definition cannot be used"},
		{CodeRegistryTooLarge, ProcessingFailed, "framed data that decode to more than the bound, or zlib that inflates to more than 100 times its size"},
		{CodeRouteFailed, ProcessingFailed, "no object key can be made for the record, for a reason without a code of its own: please report it, with the message"},
		{CodeSplitTooLarge, ProcessingFailed, "log events that exceed the bound after splitting"},
		{CodeSplitTooManyRecords, ProcessingFailed, "a payload that splits into more user records than the bound or its size allows"},
	}
}

// fault returns a Fault for a record that could not be decoded.
func fault(code, message string) *Fault {
	return &Fault{Type: ProcessingFailed, Code: code, Message: message}
}
