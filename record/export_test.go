package record

// ParseHashKey is for tests from outside.
var ParseHashKey = parseHashKey
