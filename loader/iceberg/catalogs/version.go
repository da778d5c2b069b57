package catalogs

import (
	"regexp"
	"strconv"
)

// version is the number of a metadata file of an embedded catalog, from 1.
type version int64

// none is the version of a table that does not exist.
const none version = 0

func (v version) String() string { return strconv.FormatInt(int64(v), 10) }

func (v version) file() string { return "v" + v.String() + ".metadata.json" }

var versionFile = regexp.MustCompile(`/v([1-9][0-9]*)\.metadata\.json$`)

// parseVersion returns the version of a file by its key or location; none if it is another file.
func parseVersion(path string) version {
	m := versionFile.FindStringSubmatch(path)
	if m == nil {
		return none
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return none
	}
	return version(n)
}
