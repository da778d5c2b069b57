package audit

// SetIDsAtOnce makes batches large that are not, until the function that it returns is called.
func SetIDsAtOnce(n int64) (restore func()) {
	before := idsAtOnce
	idsAtOnce = n
	return func() { idsAtOnce = before }
}
