package postgres

// A COPY in the binary format (manual, "COPY", section "Binary Format") is copyHeader, the rows that an encoder appends, and
// copyTrailer. Each row stands on its own, so any run of rows between the two is a COPY of its own.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // signature, flags, length of the extension
	copyTrailer = "\xff\xff"
)
