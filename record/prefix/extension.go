package prefix

import (
	"fmt"
	"regexp"
)

// maxExtension is the longest file extension that Firehose accepts, in characters.
const maxExtension = 128

var extensionForm = regexp.MustCompile(`^(|\.[0-9a-z!\-_.*'()]+)$`)

// ValidateExtension checks a file extension by the rule of Firehose's FileExtension (API reference,
// ExtendedS3DestinationConfiguration): empty, or a dot and at least one of 0-9 a-z ! - _ . * ' ( ), at most 128
// characters in all. An extension replaces the default one of the compression; an empty one keeps it.
func ValidateExtension(extension string) error {
	if len(extension) > maxExtension || !extensionForm.MatchString(extension) {
		return fmt.Errorf("want a dot and 1 to %d of the characters 0-9 a-z ! - _ . * ' ( )", maxExtension-1)
	}
	return nil
}
