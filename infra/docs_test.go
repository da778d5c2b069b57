package infra_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Everything that the README names exists: files, flags, parameters, alarms.
func TestReadme_NamesWhatIsThere(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(readme)
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	parameters := make(map[string]bool)
	var alarms strings.Builder
	for _, tpl := range loadAll(t) {
		for name := range tpl.parameters {
			parameters[name] = true
		}
		for _, id := range tpl.ofKind("AWS::CloudWatch::Alarm") {
			alarms.WriteString(tpl.resources[id].properties["AlarmName"].(node)["Fn::Sub"].(string) + "\n")
		}
	}
	for _, m := range regexp.MustCompile("(?:--set |`)([A-Z][a-z]+[A-Za-z]*)(?:=[A-Z_0-9a-z]+)?[` ]").FindAllStringSubmatch(text, -1) {
		if !parameters[m[1]] {
			t.Errorf("no template has a parameter %s", m[1])
		}
	}
	table := text[strings.Index(text, "| alarm |"):strings.Index(text, "scale-stream changes the shard count")]
	seen := 0
	for _, m := range regexp.MustCompile("`([a-z*]+-[a-z*-]+)`").FindAllStringSubmatch(table, -1) {
		seen++
		name := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(m[1]), `\*`, "[a-z0-9-]+") + "\n")
		if !name.MatchString(alarms.String()) {
			t.Errorf("there is no alarm %s", m[1])
		}
	}
	if seen < 12 {
		t.Errorf("looked at %d alarms", seen)
	}
}
