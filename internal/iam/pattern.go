package iam

import "strings"

// Special characters of a pattern that stand for themselves (IAM User Guide, "IAM policy elements: Variables and tags").
var escapes = []struct{ plain, escaped string }{{"$", "${$}"}, {"*", "${*}"}, {"?", "${?}"}}

// Literal returns a pattern that only text matches. A dollar sign that does not begin a variable represents itself.
func Literal(text string) string {
	return strings.NewReplacer("${", "${$}{", "*", "${*}", "?", "${?}").Replace(text)
}

// matches reports whether a text matches a pattern, in which * means any text and ? any character.
func matches(pattern, text string) bool {
	for pattern != "" {
		token, rest := next(pattern)
		switch {
		case token == "*":
			for i := 0; i <= len(text); i++ {
				if matches(rest, text[i:]) {
					return true
				}
			}
			return false
		case text == "":
			return false
		case token != "?" && unescape(token) != text[:1]:
			return false
		}
		pattern, text = rest, text[1:]
	}
	return text == ""
}

// next takes a character, or an escape, from a pattern.
func next(pattern string) (token, rest string) {
	for _, e := range escapes {
		if rest, ok := strings.CutPrefix(pattern, e.escaped); ok {
			return e.escaped, rest
		}
	}
	return pattern[:1], pattern[1:]
}

func unescape(token string) string {
	for _, e := range escapes {
		if token == e.escaped {
			return e.plain
		}
	}
	return token
}
