package words

import (
	"bytes"
	"go/scanner"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// masked stands for what is not prose.
const masked = 0

// leader begins a line of a comment.
var leader = regexp.MustCompile(`(?m)^[ \t]*(?:#+|//|--)(?: |$)`)

// generated are the generated parts of files, from their first line to their last. Their words are checked at their source.
var generated = []*regexp.Regexp{
	regexp.MustCompile(`(?s)<!-- (?:settings|end to end) -->.*?<!-- /`),
	regexp.MustCompile(`(?s)<!-- values -->.*?<!-- /values`),
	regexp.MustCompile(`(?s)# <(?:settings|tables|queries)>.*?# </`),
}

// paragraph is a piece of prose, with one space for any white space and line end in it.
type paragraph struct {
	text  []byte
	lower []byte // text in lower case, in which each byte keeps its place
	lines []int  // the line of each byte in its file
}

// prose returns the paragraphs of a file.
func prose(path string, text []byte) []paragraph {
	if filepath.Ext(path) == ".go" {
		return split(goProse(text))
	}
	text = bytes.Clone(text)
	for _, part := range generated {
		text = part.ReplaceAllFunc(text, gap)
	}
	if filepath.Ext(path) != ".md" {
		text = leader.ReplaceAll(text, []byte(" "))
	}
	return split(text)
}

// split cuts a text at empty lines and at what is masked.
func split(text []byte) (all []paragraph) {
	var p paragraph
	line, breaks := 1, 0 // breaks are line ends since the last word
	put := func(c byte) {
		p.text, p.lines = append(p.text, c), append(p.lines, line)
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		p.lower = append(p.lower, c)
	}
	for _, c := range text {
		switch {
		case c == '\n':
			line++
			breaks++
		case c == ' ' || c == '\t' || c == '\r':
		default:
			if (c == masked || breaks > 1) && len(p.text) > 0 {
				all = append(all, p)
				p = paragraph{}
			}
			breaks = 0
			if c != masked {
				put(c)
			}
			continue
		}
		if n := len(p.text); n > 0 && p.text[n-1] != ' ' {
			put(' ')
		}
	}
	return append(all, p)
}

// goProse keeps the comments, and the string literals of more than one word. Lines stay where they are.
func goProse(text []byte) (kept []byte) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, text, nil, scanner.ScanComments)
	end := 0 // of what is kept so far, in text
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			return kept
		}
		if kind != token.COMMENT && (kind != token.STRING || !strings.Contains(literal, " ")) || strings.HasPrefix(literal, "//go:") {
			continue
		}
		at := file.Offset(pos)
		kept = append(kept, gap(text[end:at])...)
		end = min(at+len(literal), len(text))
		if kind == token.COMMENT {
			literal = strings.Trim(literal, "/*")
		}
		kept = append(kept, literal...)
	}
}

// gap takes the place of a text that is not prose: its line ends, and a mark unless it is white space.
func gap(text []byte) []byte {
	if len(bytes.TrimSpace(text)) == 0 {
		return text
	}
	return append([]byte{masked}, bytes.Repeat([]byte("\n"), bytes.Count(text, []byte("\n")))...)
}
