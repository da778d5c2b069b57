// Package docs_test checks the documentation against the repository.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// texts returns the Markdown files of the repository, by path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") && name != ".." || name == "demo-output" || name == "dist" || name == "node_modules") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil || len(found) < 4 {
		t.Fatalf("%d texts found: %v", len(found), err)
	}
	return found
}

func TestTexts_LinkToFilesThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for path, text := range texts(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}

// A link to a heading must match GitHub's anchor for the heading.
func TestTexts_LinkToHeadingsThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	all := texts(t)
	checked := 0
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			checked++
			if !slices.Contains(headings(all[target]), m[2]) {
				t.Errorf("%s links to #%s of %s, which does not exist", path, m[2], target)
			}
		}
	}
	if checked < 10 {
		t.Errorf("checked only %d links", checked)
	}
	if got := headings("# A `b` c: d, (e)\n```sh\n# no heading\n```\n## Try it, without\n"); !slices.Equal(got, []string{"a-b-c-d-e", "try-it-without"}) {
		t.Errorf("headings %q", got)
	}
}

// headings returns the anchors of a text's headings: in lower case, without punctuation, with hyphens for spaces.
func headings(text string) []string {
	text = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// Claims about Firehose's delivery name a source: Firehose's documentation changes, and claims may become outdated.
func TestTexts_SayNothingOfFirehosesDeliveryWithoutASource(t *testing.T) {
	for path, text := range texts(t) {
		for _, claim := range unsourced(text) {
			t.Errorf("%s says without a link: %q", path, claim)
		}
	}
	if len(unsourced("Amazon Data Firehose, Redpanda\n  Connect and others deliver at least once.\n")) != 1 || len(unsourced("Firehose may duplicate records.")) != 1 ||
		len(unsourced("Firehose [does not duplicate](https://docs.aws.amazon.com/) records.")) != 0 {
		t.Error("claims are not distinguished from other sentences")
	}
}

// unsourced returns the sentences about Firehose and duplicated records that have no link.
func unsourced(text string) (claims []string) {
	for _, at := range regexp.MustCompile(`Firehose[^.|]{0,200}?(at least once|[Dd]uplicat|twice)`).FindAllStringIndex(text, -1) {
		sentence := text[at[0]:min(at[1]+120, len(text))]
		if !strings.Contains(sentence, "](http") && !strings.Contains(sentence, "][") {
			claims = append(claims, text[at[0]:at[1]])
		}
	}
	return claims
}

// Every page can be found from the index by task, and in the navigation of the website.
func TestPages_AreInTheIndexAndOnTheSite(t *testing.T) {
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	site, err := os.ReadFile("../mkdocs.yml")
	if err != nil {
		t.Fatal(err)
	}
	for path := range texts(t) {
		page := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if !strings.Contains(string(site), " "+page+"\n") {
			t.Errorf("mkdocs.yml has no place for %s", page)
		}
		fromIndex, err := filepath.Rel("docs", page)
		if err != nil {
			t.Fatal(err)
		}
		if page != "docs/README.md" && !strings.HasPrefix(page, "docs/runbooks/") && !regexp.MustCompile(`\(`+regexp.QuoteMeta(filepath.ToSlash(fromIndex))+`[)#]`).Match(index) {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}

func TestTexts_NameFoldersThatExist(t *testing.T) {
	folder := regexp.MustCompile("`((?:cmd|operate|consumer|checkpoint|record|writers|producer|infra|athena|helm|internal|docs)/[a-z0-9/._-]*)`")
	for path, text := range texts(t) {
		if filepath.Base(path) == "CHANGELOG.md" {
			continue // it describes the past
		}
		for _, m := range folder.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	}
}

func TestTexts_NameTestsThatExist(t *testing.T) {
	name := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	tests := testNames(t)
	for path, text := range texts(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	}
}
