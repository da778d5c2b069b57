package main

import (
	"fmt"
	"slices"
	"strings"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/settings"
)

// first are the settings that one needs first, in the README's order.
var first = []string{"STREAM_NAME", "BUCKET", "APPLICATION_NAME", "START_POSITION", "PREFIX", "FORMAT", "COMMIT_INTERVAL", "TABLE", "MEMORY_BUDGET"}

// firstSettings is the README's table.
func firstSettings() string {
	var list []settings.Setting
	for _, name := range first {
		list = append(list, setting(name))
	}
	return settingsTable(list) + fmt.Sprintf("\n[docs/settings.md](docs/settings.md) describes all %d settings by subject; `consumer settings` prints them.\n", len(consumer.Settings()))
}

// setting finds a setting of the daemon. It panics if there is none: a table of this program is wrong.
func setting(name string) settings.Setting {
	list := consumer.Settings()
	i := slices.IndexFunc(list, func(s settings.Setting) bool { return s.Name == name })
	if i < 0 {
		panic("generate: the daemon has no setting " + name)
	}
	return list[i]
}

const settingsHead = `# Settings

The daemon is configured by environment variables. ` + "`make generate`" + ` makes this page from ` + "`consumer.Config`" + `; do not edit it.
` + "`consumer settings`" + ` prints the same list.

- The values of the [Helm chart](../helm/consumer/README.md) have the same names in camel case: ` + "`COMMIT_INTERVAL` is `settings.commitInterval`" + `.
  Only ` + "`TABLE` and `TABLE_TOKEN` have others, `table.uri` and `table.tokenSecret`" + `.
  The parameters of [infra/consumer-ecs.yml](../infra/consumer-ecs.yml) begin with a capital letter: ` + "`CommitInterval`" + `.
- A duration is a number with a unit, such as ` + "`90s`, `5m` or `1h30m`" + `. A size is a number of bytes with or without a unit, such as
  ` + "`128MiB`, `1GiB` or `100MB`" + `.
- The daemon checks all settings when it starts, reports every fault at once, and exits:

  ` + "```" + `
  COMMIT_INTERVAL="5": want a duration from 1s to 24h, such as 5m
  SPLIT_RECORDS="x": want none, json or lines
  ` + "```" + `

AWS credentials, the region and endpoints come from the AWS SDK's usual sources (` + "`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL_S3`" + `). Go's
` + "`GOMEMLIMIT`" + ` overrides the memory limit that the daemon derives from ` + "`MEMORY_BUDGET`" + `.
`

// settingsPage is docs/settings.md.
func settingsPage([]byte) ([]byte, error) {
	var b strings.Builder
	b.WriteString(settingsHead)
	for _, g := range consumer.SettingGroups() {
		fmt.Fprintf(&b, "\n## %s\n\n%s", g.Title, settingsTable(g.Settings))
	}
	return []byte(b.String()), nil
}

func settingsTable(list []settings.Setting) string {
	var b strings.Builder
	b.WriteString("| variable | meaning | values | default |\n|---|---|---|---|\n")
	for _, s := range list {
		values := s.Bounds()
		if len(s.OneOf) > 0 {
			values = "`" + strings.Join(s.OneOf, "`, `") + "`"
		}
		value := ""
		switch {
		case s.Required:
			value = "required"
		case s.Default != "":
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, cell(s.Meaning), values, cell(value))
	}
	return b.String()
}

// cell is a text of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
