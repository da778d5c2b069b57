package bundle

// Pack is for tests from outside.
var Pack = pack
