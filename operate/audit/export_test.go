package audit

// SetIDsAtOnce makes small batches count as large until the function that it returns is called.
func SetIDsAtOnce(n int64) (restore func()) {
	before := idsAtOnce
	idsAtOnce = n
	return func() { idsAtOnce = before }
}
