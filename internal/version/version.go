// Package version returns the version of this binary.
package version

import "runtime/debug"

// release is set by the linker: -ldflags "-X aws-streaming-pipeline/internal/version.release=1.2.3".
var release string

// String returns the release, or the revision that the binary was built from, or "dev".
func String() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "dev"
}
