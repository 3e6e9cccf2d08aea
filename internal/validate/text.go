package validate

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Codes of a fault in a text that people wrote.
const (
	CodeControl = "control_character"
	CodeEmail   = "email"
)

// Text cleans a line that people wrote and others read: NFC, outer space removed, inner runs of space made one blank.
// code is empty, or CodeControl when the text holds a control character or one that reorders its surroundings
// (Unicode TR 9, explicit directional embeddings, overrides and isolates; the plain marks are let through). It does not escape for HTML: whoever
// writes HTML does.
func Text(s string) (clean, code string) {
	for _, r := range s {
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' || reorders(r) {
			return "", CodeControl
		}
	}
	return strings.Join(strings.Fields(norm.NFC.String(s)), " "), ""
}

func reorders(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// Email is the canonical form of an address: lower case throughout, since the user pool ignores case. code is empty, or
// CodeEmail for what is not an address as we take them: ASCII (a domain in Punycode is; mail services refuse other
// addresses, Amazon SES API reference, "SendEmail", Destination), one @, a local part of 1 to 64 and a domain of at
// most 253 characters with at least two labels (RFC 5321 §4.5.3.1, RFC 1035 §2.3.4).
func Email(s string) (canonical, code string) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > 64 || len(domain) > 253 || !atoms(local) || !labels(domain) {
		return "", CodeEmail
	}
	return strings.ToLower(s), ""
}

// atoms takes the dot-atom of RFC 5322 §3.2.3; the quoted form is refused.
func atoms(local string) bool {
	for part := range strings.SplitSeq(local, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return !alphanumeric(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
		}) {
			return false
		}
	}
	return true
}

func labels(domain string) bool {
	n := 0
	for label := range strings.SplitSeq(domain, ".") {
		n++
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) && r != '-' }) {
			return false
		}
	}
	return n >= 2
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
