package telemetry

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// privateWords say that a value is not for logs when they are part of its attribute's name, however it is spelled. They
// are in lower case and hold no separators.
var privateWords = [...]string{
	"password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "credential", "privatekey", "apikey", "jwt", "bearer", "totp",
	"email", "phone", "msisdn", "address", "birth", "fullname", "firstname", "lastname", "iban", "cardnumber", "accountnumber", "body", "sourceip",
}

// wordsBy finds the words that begin with a letter.
var wordsBy = func() (by ['z' + 1][]string) {
	for _, w := range privateWords {
		by[w[0]] = append(by[w[0]], w)
	}
	return by
}()

// private tells whether an attribute's name says that its value is not for logs.
func private(key string) bool {
	for i := range len(key) {
		c := key[i]
		if c >= utf8.RuneSelf {
			return privateRunes(key)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c < 'a' || c > 'z' {
			continue
		}
		for _, w := range wordsBy[c] {
			if spells(key[i:], w) {
				return true
			}
		}
	}
	return false
}

// spells tells whether a name begins with a word, whatever its case and separators.
func spells(key, word string) bool {
	n := 0
	for i := 0; i < len(key) && n < len(word); i++ {
		c := key[i]
		if separator(rune(c)) {
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[n] {
			return false
		}
		n++
	}
	return n == len(word)
}

func separator(r rune) bool {
	return r == '_' || r == '-' || r == '.' || r == ' ' || r == ':' || r == '/'
}

// privateRunes is private for names that are not ASCII: Unicode has letters whose lower case is an ASCII one.
func privateRunes(key string) bool {
	key = strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); separator(r) || r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, key)
	return key != "" && private(key)
}

// Text is a text without what must not be written: words that look like a mail address, a JSON Web Token, another token
// or a key (32 and more characters of base64url together, with letters of both cases and digits), and numbers that look like a phone's: international
// ones and national ones with a leading 0. It is at most MaxField bytes long, and an ellipsis where it was cut.
//
// It is the last line of defense, not the first: a name, a short password or a number that could be any number has no
// look of its own. Those must hide by type or by name.
func Text(s string) string {
	var b []byte // what was taken over so far; nil while that is s itself
	i := 0
	for i < len(s) && max(len(b), i) <= MaxField {
		end, hide := word(s, i)
		switch {
		case hide && b == nil:
			b = append(append(make([]byte, 0, len(s[:i])+64), s[:i]...), Redacted...)
		case hide:
			b = append(b, Redacted...)
		case b != nil:
			b = append(b, s[i:end]...)
		}
		i = end
	}
	if b != nil {
		s = string(b)
	}
	return cut(s, MaxField)
}

// cut ends a text between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

const (
	lower = 1 << iota
	upper
	digit
	blank
	joins // what base64url has beside letters and digits
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z':
			t[c] = lower
		case c >= 'A' && c <= 'Z':
			t[c] = upper
		case c >= '0' && c <= '9':
			t[c] = digit
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			t[c] = blank
		case c == '_' || c == '-':
			t[c] = joins
		}
	}
	return t
}()

// tokenLength is how long a token is at least: 24 random bytes in base64.
const tokenLength = 32

// word is the piece of a text that begins at i: blanks, or all up to the next blank, or further when a phone number goes
// on after it.
func word(s string, i int) (end int, hide bool) {
	if classes[s[i]] == blank {
		for i < len(s) && classes[s[i]] == blank {
			i++
		}
		return i, false
	}
	run, seen, before := 0, uint8(0), byte(' ')
	for i < len(s) {
		c := s[i]
		class := classes[c]
		switch class {
		case blank:
			return i, hide
		case 0:
			run, seen = 0, 0
		default:
			run++
			seen |= class
		}
		switch {
		case run >= tokenLength && seen&(lower|upper|digit) == lower|upper|digit,
			c == '@',
			c == '%' && strings.HasPrefix(s[i:], "%40"),
			c == 'e' && strings.HasPrefix(s[i:], "eyJ"):
			hide = true
		case c == '+' || c == '0' && before != '.' && classes[before]&^blank == 0:
			if n := phone(s[i:]); n > 0 {
				i, hide, before = i+n, true, '0'
				continue
			}
		}
		before = c
		i++
	}
	return i, hide
}

// phone is how many bytes of a text, from its + or 0 on, are a phone number: + and 8 to 15 digits (ITU-T E.164), or 0 and
// 9 or 10 more, with blanks and punctuation between. 0 means none.
func phone(s string) int {
	if len(s) < 2 || classes[s[1]] != digit {
		return 0
	}
	digits, last := 0, 0
	for i := 0; i < len(s) && digits < 16; i++ {
		switch c := s[i]; {
		case classes[c] == digit:
			digits++
			last = i + 1
			ends := last == len(s) || classes[s[last]] != digit
			if s[0] == '0' && ends && (digits == 10 || digits == 11) {
				return last
			}
		case c == '+' && i == 0, c == ' ', c == '-', c == '(', c == ')', c == '.' && s[0] == '+':
		default:
			i = len(s)
		}
	}
	if s[0] == '+' && digits >= 8 {
		return last
	}
	return 0
}
