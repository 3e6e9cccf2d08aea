package mem

import "strings"

// token is a word of an expression: kind 'a' for a bare name, '#' and ':' for placeholders, '0' for digits, 'p' for
// punctuation, 0 for the end.
type token struct {
	kind byte
	text string
	end  int // where it ends in the source
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	word    = letters + digits + "_"
)

// lex cuts an expression into tokens and ends the list with one of kind 0. ok is false at a character that begins none,
// which the last token then holds.
func lex(src string) (tokens []token, ok bool) {
	for at := 0; at < len(src); {
		c := src[at]
		if strings.IndexByte(" \t\r\n", c) >= 0 {
			at++
			continue
		}
		t := token{kind: 'p', end: at + 1}
		switch {
		case strings.IndexByte(letters, c) >= 0:
			t.kind, t.end = 'a', at+span(src[at:], word)
		case strings.IndexByte(digits, c) >= 0:
			t.kind, t.end = '0', at+span(src[at:], digits)
		case c == '#' || c == ':':
			t.kind, t.end = c, at+1+span(src[at+1:], word)
		case strings.HasPrefix(src[at:], "<>"), strings.HasPrefix(src[at:], "<="), strings.HasPrefix(src[at:], ">="):
			t.end++
		}
		t.text = src[at:t.end]
		tokens = append(tokens, t)
		if t.kind == 'p' && !strings.Contains("()[].,=<>+-<=>=", t.text) || t.text == "#" || t.text == ":" {
			return tokens, false
		}
		at = t.end
	}
	return append(tokens, token{text: "<EOF>", end: len(src)}), true
}

// span is how many leading bytes of s are in set.
func span(s, set string) int {
	return len(s) - len(strings.TrimLeft(s, set))
}
