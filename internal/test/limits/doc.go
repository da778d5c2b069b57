// Package limits is a proxy between a program and an emulator of AWS. It refuses what AWS refuses and emulators do not: calls that
// are too large, too many, too early or too frequent, or signed too long ago. A refusal has the status, the code and the shape of
// the service's own. Calls within the limits pass unchanged.
//
//	program ──► Proxy ──► emulator
//
// Each rule names the AWS document that it comes from. Sizes of DynamoDB and Kinesis are in binary units: 1 KB is 1024
// bytes ("Constraints in Amazon DynamoDB").
//
// A Proxy knows only what it has seen: it does not check uploads, iterators, tables and tokens from before its start.
package limits
