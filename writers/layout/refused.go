package layout

import "time"

// refusedExtension is that of the objects with rows of a batch that a database has refused. They are written after the batch, so its
// manifest does not name them.
const refusedExtension = ".postgres-failed.gz"

// RefusedFile returns the n-th object with refused rows of a batch under a prefix. Name is the evaluated prefix followed by the stream's
// name.
func RefusedFile(name string, clock time.Time, batch string, n int) File {
	return File{Name: name, Clock: clock, Batch: batch, Number: n, Extension: refusedExtension}
}

// IsRefused reports whether a file is one that RefusedFile returns.
func (f File) IsRefused() bool { return f.Extension == refusedExtension }
