package firehose

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Form is how settings are written.
type Form string

// The forms.
const (
	Env  Form = "env"  // variables for a shell
	Helm Form = "helm" // values of the chart
	ECS  Form = "ecs"  // parameters of the consumer stack, for infra/deploy
)

// Forms lists the forms.
var Forms = []Form{Env, Helm, ECS}

// stackOwn says why the consumer stack has no parameter for a setting.
var stackOwn = map[string]string{
	"STREAM_NAME":   "the stack reads the stream of the stack \"stream\"",
	"BUCKET":        "the stack writes to the output bucket of the stack \"data-sources\"",
	"S3_ENCRYPTION": "the bucket encrypts",
	"S3_KMS_KEY_ID": "the bucket encrypts",
	// The stack names its own application, so that nothing of the description is left out.
	"APPLICATION_NAME": "",
}

// Write writes the settings with their origins as comments, and returns how many parts of the description are not carried over.
func (s *Settings) Write(out io.Writer, form Form) (left int, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of the consumer for the Firehose stream %s, by consumer import firehose.\n", oneLine(s.Name))
	b.WriteString("# START_POSITION is not among them: set it to a time just before the switch. Firehose began at LATEST.\n")
	remarks := s.Left
	switch form {
	case Env:
		s.writeEnv(&b)
	case Helm:
		s.writeHelm(&b)
	case ECS:
		remarks = append(s.writeECS(&b), remarks...)
	default:
		return 0, fmt.Errorf("form %q: want env, helm or ecs", form)
	}
	writeRemarks(&b, "What differs, or is assumed:", s.Notes)
	writeRemarks(&b, "Not carried over:", remarks)
	_, err = io.WriteString(out, b.String())
	return len(remarks), err
}

func (s *Settings) writeEnv(b *strings.Builder) {
	b.WriteString("# In a shell: set -a; . ./FILE; set +a\n\n")
	if s.Region != "" {
		fmt.Fprintf(b, "# the region of the stream\nAWS_REGION=%s\n", shell(s.Region))
	}
	for _, l := range s.Lines {
		fmt.Fprintf(b, "%s%s=%s\n", l.comment("# "), l.Name, shell(l.Value))
	}
}

func (s *Settings) writeHelm(b *strings.Builder) {
	b.WriteString("# helm upgrade --install ... --values FILE\n\n")
	if s.Region != "" {
		fmt.Fprintf(b, "aws:\n  # the region of the stream\n  region: %s\n", text(s.Region))
	}
	b.WriteString("settings:\n")
	for _, l := range s.Lines {
		value := text(l.Value)
		if l.Value == "true" || l.Value == "false" || l.Name == "TRANSFORM_RETRIES" { // a number in the chart's schema
			value = l.Value
		}
		fmt.Fprintf(b, "%s  %s: %s\n", l.comment("  # "), valueName(l.Name), value)
	}
}

// writeECS returns the settings for which the stack has no parameter.
func (s *Settings) writeECS(b *strings.Builder) (left []Remark) {
	b.WriteString("# In bash: . ./FILE; infra/deploy --stage NAME --with-consumer \"${parameters[@]}\"\n\nparameters=(\n")
	for _, l := range s.Lines {
		if reason, is := stackOwn[l.Name]; is {
			if reason != "" {
				left = append(left, Remark{l.From, fmt.Sprintf("%s=%s has no parameter: %s", l.Name, l.Value, reason)})
			}
			continue
		}
		fmt.Fprintf(b, "%s  --set %s\n", l.comment("  # "), shell(parameterName(l.Name)+"="+l.Value))
	}
	b.WriteString(")\n")
	return left
}

// comment returns the line's origin, and what differs, as comments.
func (l Line) comment(mark string) string {
	c := mark + oneLine(l.From) + "\n"
	if l.Note != "" {
		c += mark + oneLine(l.Note) + "\n"
	}
	return c
}

func writeRemarks(b *strings.Builder, title string, remarks []Remark) {
	if len(remarks) == 0 {
		return
	}
	fmt.Fprintf(b, "\n# %s\n", title)
	for _, r := range remarks {
		fmt.Fprintf(b, "# - %s: %s\n", oneLine(r.At), oneLine(r.Text))
	}
}

// oneLine keeps text of the description within its comment.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
}

// shell quotes a word (POSIX.1-2024, Shell Command Language, 2.2.2 "Single-Quotes").
func shell(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%="
	if strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// text writes a YAML text, as which JSON's are valid (YAML 1.2, section 1.3).
func text(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a text always has a form
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parameterName returns the stack's name of a setting: CommitInterval for COMMIT_INTERVAL.
func parameterName(setting string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(setting), "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// valueName returns the chart's name of a setting: commitInterval for COMMIT_INTERVAL.
func valueName(setting string) string {
	name := parameterName(setting)
	return strings.ToLower(name[:1]) + name[1:]
}
