package gameday

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const pages = "../../../docs/runbooks/"

// page is a runbook.
type page struct {
	alert    string
	sections map[string]string // by heading
}

func readPage(t *testing.T, alert string) page {
	t.Helper()
	text, err := os.ReadFile(pages + alert + ".md")
	if err != nil {
		t.Fatal(err)
	}
	p := page{alert, make(map[string]string)}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		p.sections[heading] = body
	}
	return p
}

// fence is a block of code, which may be indented as part of a list.
var fence = regexp.MustCompile("(?ms)^ *```(sh|sql|promql)\n(.*?)^ *```$")

// blocks returns the lines of a section's code in a language. A statement of SQL or PromQL may have several lines, and is one block.
func (p page) blocks(section, language string) (lines []string) {
	for _, m := range fence.FindAllStringSubmatch(p.sections[section], -1) {
		switch {
		case m[1] != language:
		case language == "sh":
			for line := range strings.Lines(m[2]) {
				lines = append(lines, strings.TrimSpace(line))
			}
		default:
			for statement := range strings.SplitSeq(strings.TrimSpace(m[2]), ";") {
				if s := strings.TrimSpace(regexp.MustCompile(`(?m)^\s*--.*$`).ReplaceAllString(statement, "")); s != "" {
					lines = append(lines, s)
				}
			}
		}
	}
	return lines
}

// command returns the command of the section Do that begins with a text; there must be one.
func (p page) command(language, begins string) (string, error) {
	var found []string
	for _, line := range p.blocks("Do", language) {
		if strings.HasPrefix(line, begins) {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s.md, Do: there is no command %q", p.alert, begins)
	}
	return found[0], nil
}

// step is an error unless the section Do has a text, in whatever lines.
func (p page) step(text string) error {
	if !strings.Contains(strings.Join(strings.Fields(p.sections["Do"]), " "), text) {
		return fmt.Errorf("%s.md, Do: it does not say %q", p.alert, text)
	}
	return nil
}

func TestPage_IsReadByItsSections(t *testing.T) {
	p := readPage(t, "ConsumerRetentionDanger")
	if len(p.blocks("See it", "promql")) != 1 || len(p.blocks("See it", "sh")) != 2 || len(p.blocks("Do", "sh")) != 2 {
		t.Errorf("it has %q", p.sections)
	}
	if _, err := p.command("sh", "aws kinesis increase-stream-retention-period --stream-name"); err != nil {
		t.Error(err)
	}
	if _, err := p.command("sh", "aws kinesis delete-stream"); err == nil {
		t.Error("it has a command that it does not have")
	}
	if p.step("Extend the retention first") != nil || p.step("Restart everything") == nil {
		t.Error("its steps are not told apart")
	}
}
