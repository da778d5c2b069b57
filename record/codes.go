package record

// The codes of the faults that this package finds, and of those that the packages above it find without a code of their own.
// Codes has their meanings.
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

// Code is a fault code with its meaning, for documents and dashboards.
type Code struct {
	Name    string
	Type    OutputType // where records with this fault go
	Meaning string     // half a sentence, without a full stop
}

// Codes lists these codes, sorted by name. The slice is the caller's.
func Codes() []Code {
	return []Code{
		{CodeAggregateCorrupt, ProcessingFailed, "the magic number and checksum of a KPL aggregate, but no readable user records inside"},
		{CodeAggregateTooManyRecords, ProcessingFailed, "a KPL aggregate of more user records than the bound, or than its size allows"},
		{CodeGzipCorrupt, ProcessingFailed, "a gzip header, but the stream is damaged or cut off"},
		{CodeGzipTooLarge, ProcessingFailed, "a gzip stream that inflates to more than the bound, or to more than 100 times its size"},
		{CodeJSONEmpty, ProcessingFailed, "no bytes but white space"},
		{CodeJSONInvalidUTF8, ProcessingFailed, "a JSON string with bytes that are not UTF-8"},
		{CodeJSONMalformed, ProcessingFailed, "not JSON: a byte that may not stand where it stands"},
		{CodeJSONNotAnObject, ProcessingFailed, "a JSON value other than an object"},
		{CodeJSONNumberTooLarge, ProcessingFailed, "a number of more than 400 digits, or with an exponent beyond 400, where a schema or a query computes with it"},
		{CodeJSONTooDeep, ProcessingFailed, "objects and arrays nested deeper than 1,000 levels"},
		{CodeJSONTrailingData, ProcessingFailed, "something other than white space after the object"},
		{CodeJSONTruncated, ProcessingFailed, "the payload ends within the object"},
		{CodeRecordPanicked, ProcessingFailed, "this program failed on the record: please report it, with the message"},
		{CodeRegistryFrameCorrupt, ProcessingFailed, "the first byte of a schema registry's frame, but the rest of it is damaged or cut off"},
		{CodeRegistryPayloadUnfit, ProcessingFailed, "data that the schema named by their frame cannot have written"},
		{CodeRegistrySchemaUnknown, ProcessingFailed, "a frame names a schema version that the registry does not have"},
		{CodeRegistrySchemaUnusable, ProcessingFailed, "a frame names a schema version whose definition cannot be used"},
		{CodeRegistryTooLarge, ProcessingFailed, "framed data that come to more than the bound when opened, or zlib that inflates to more than 100 times its size"},
		{CodeRouteFailed, ProcessingFailed, "no key can be made for the record, for a reason that has no code of its own: please report it, with the message"},
		{CodeSplitTooLarge, ProcessingFailed, "log events that take up more than the bound after splitting"},
		{CodeSplitTooManyRecords, ProcessingFailed, "a payload that splits into more user records than the bound, or than its size allows"},
	}
}

// fault makes a Fault of a record that could not be taken apart.
func fault(code, message string) *Fault {
	return &Fault{Type: ProcessingFailed, Code: code, Message: message}
}
