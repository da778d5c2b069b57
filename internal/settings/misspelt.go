package settings

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"aws-streaming-pipeline/internal/spelling"
)

// sdk are the variables of the AWS SDK that every program needs or may need first (AWS SDKs and Tools Reference Guide, "Environment
// variables list").
var sdk = []string{"AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"}

// others are well-known variables of other software that look like settings: of PostgreSQL's container image, and of the AWS SDKs.
var others = []string{"POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_URL", "AWS_DEFAULT_REGION"}

// Misspelt returns a sentence for each variable of the environment that is not a setting, but nearly has the name of one that is not
// set. names are the settings.
func Misspelt(names []string) (warnings []string) {
	set := make(map[string]bool)
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		set[name] = set[name] || value != ""
	}
	var missing []string
	for _, name := range slices.Concat(names, sdk) {
		if !set[name] {
			missing = append(missing, name)
		}
	}
	for name, given := range set {
		if !given || slices.Contains(names, name) || slices.Contains(sdk, name) || slices.Contains(others, name) {
			continue
		}
		if like := meant(name, missing); like != "" {
			warnings = append(warnings, fmt.Sprintf("%s is not a setting: did you mean %s?", name, like))
		}
	}
	slices.Sort(warnings)
	return warnings
}

var separators = strings.NewReplacer("_", "", "-", "")

// meant returns the setting that a name stands for: it differs in case or underscores alone, or in single characters of its words.
func meant(name string, settings []string) string {
	plain := func(s string) string { return strings.ToUpper(separators.Replace(s)) }
	for _, s := range settings {
		if plain(s) == plain(name) {
			return s
		}
	}
	words := strings.Split(name, "_")
	for _, s := range settings {
		if near(words, strings.Split(s, "_")) {
			return s
		}
	}
	return ""
}

// near reports whether at most two words differ, each by one change. Short words stay as they are: DB is not DSN, and S3 is not STS.
func near(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	differ := 0
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if max(len(a[i]), len(b[i])) < 4 || spelling.Nearest(a[i], b[i:i+1], 1) == "" {
			return false
		}
		differ++
	}
	return differ <= 2
}
