// Package limits stands between a program and an emulator of AWS, and refuses what AWS refuses and emulators do not: what
// is too large, too many, too early, too often or signed too long ago. A refusal has the status, the code and the shape of
// the service's own. What is within the limits passes unchanged.
//
//	program ──► Proxy ──► emulator
//
// Each rule names the AWS document that it comes from. Sizes of DynamoDB and Kinesis are in binary units: 1 KB is 1024
// bytes ("Constraints in Amazon DynamoDB").
//
// A Proxy knows what it has seen pass: uploads, iterators, tables and tokens from before it stood there are not checked.
package limits
