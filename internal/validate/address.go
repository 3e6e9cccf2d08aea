package validate

import "strings"

// Codes of a fault in how someone is reached.
const (
	CodeEmail = "email"
	CodePhone = "phone"
)

// Email is the canonical form of an address: lower case throughout, since the user pool ignores case. code is empty, or
// CodeEmail for what is not an address as we take them: ASCII, one @, at most 254 characters, a local part of 1 to 64
// (RFC 5321 §4.5.3.1), a domain of at least two labels (RFC 1035 §2.3.4) of which the last is not a number.
//
// A domain with other letters must come in Punycode. Amazon SES takes no other (API reference, "SendEmail",
// Destination), and turning letters into Punycode ourselves would decide between two standards that lead to different
// domains (IDNA 2003 and 2008, as for ß) with tables in every function. Whoever shows an address shows it in ASCII, so
// that a domain of look-alike letters cannot pose as another.
func Email(s string) (canonical, code string) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || len(local) > 64 || !atoms(local) || !labels(domain) {
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
	n, last := 0, ""
	for label := range strings.SplitSeq(domain, ".") {
		n, last = n+1, label
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) && r != '-' }) {
			return false
		}
	}
	return n >= 2 && strings.ContainsFunc(last, func(r rune) bool { return !digit(r) })
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || digit(r)
}

func digit(r rune) bool { return r >= '0' && r <= '9' }

// Phone is the canonical form of a phone number, ITU-T E.164: + and 7 to 15 digits, the first of which is not 0. Blanks,
// no-break spaces, hyphens and dots between digits are removed. code is empty, or CodePhone for all else: a number
// without its country, 00 in place of +, letters, an extension. Parentheses are refused, since the 0 that is often in
// them is not part of the number and the country decides. Whether a number is assigned is not known.
func Phone(s string) (canonical, code string) {
	if len(s) > 64 || !strings.HasPrefix(s, "+") || !digitAt(s, 1) || !digitAt(s, len(s)-1) {
		return "", CodePhone
	}
	number := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '-' || r == '.' {
			return -1
		}
		return r
	}, s[1:])
	if number[0] == '0' || len(number) < 7 || len(number) > 15 || strings.ContainsFunc(number, func(r rune) bool { return !digit(r) }) {
		return "", CodePhone
	}
	return "+" + number, ""
}

func digitAt(s string, i int) bool { return i < len(s) && digit(rune(s[i])) }
