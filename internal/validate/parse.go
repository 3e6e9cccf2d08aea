// Package validate decides whether a request is what a route declares, before any of it reaches a handler.
// A body passes through one guard (Parse) that refuses what encoding/json would let through: bad UTF-8, repeated
// names, data after the value, depth, members, items and numbers without bound. Then its content is compared with the
// declared model (Schema), which reports all faults at once and, comparing names exactly, leaves no room for
// encoding/json's case-insensitive match when the body is finally decoded into a Go value. Texts, addresses, phone
// numbers and times are brought into the one form that is stored.
//
// What is promised: no value of the request is repeated in an error; memory grows with the size of a body and, beyond
// it, at most with MaxNames and MaxItems; whatever passes means the same to encoding/json. What is not: the size of a
// body is the caller's to bound (rest.MaxBody); letters of different scripts that look alike stay as they are, so that
// no text may serve as an identity, which only Email and Phone give; nothing is escaped for HTML, SQL or a shell,
// since that is for whoever writes them, and a response is JSON.
package validate

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/expenzez/aws-backend/internal/apperr"
)

// Bounds of a body, whatever its size.
const (
	MaxDepth  = 16   // nested objects and arrays
	MaxNames  = 3072 // members of all objects together: a batch of 500 rows with six each, and some
	MaxItems  = 1024 // items of all arrays together
	MaxNumber = 32   // characters of a number
)

// Parse reads exactly one JSON value (RFC 8259): map[string]any, []any, string, json.Number, bool or nil.
// Its error is an *apperr.Error of kind Invalid that names the byte and never the content.
func Parse(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, apperr.New(apperr.Invalid, "not_utf8", "The body is not UTF-8.")
	}
	p := &parser{body: body}
	p.space()
	v := p.value(0)
	p.space()
	if p.err == nil && p.at < len(body) {
		p.fail("trailing_data", "more data after the value")
	}
	if p.err != nil {
		return nil, p.err
	}
	return v, nil
}

// parser holds the position. After the first failure every method returns at once.
type parser struct {
	body  []byte
	at    int
	names int
	items int
	err   *apperr.Error
}

func (p *parser) fail(code, what string) {
	if p.err == nil {
		p.err = apperr.New(apperr.Invalid, code, fmt.Sprintf("The body is not acceptable JSON at byte %d: %s.", p.at, what))
	}
}

func (p *parser) malformed(what string) { p.fail("malformed_json", what) }

func (p *parser) space() {
	for p.at < len(p.body) && (p.body[p.at] == ' ' || p.body[p.at] == '\t' || p.body[p.at] == '\n' || p.body[p.at] == '\r') {
		p.at++
	}
}

// next is the byte at the position, 0 at the end: no valid text has a bare 0.
func (p *parser) next() byte {
	if p.at < len(p.body) {
		return p.body[p.at]
	}
	return 0
}

// take consumes c if it is next, with the space after it.
func (p *parser) take(c byte) bool {
	if p.err != nil || p.next() != c {
		return false
	}
	p.at++
	p.space()
	return true
}

func (p *parser) value(depth int) any {
	switch c := p.next(); {
	case (c == '{' || c == '[') && depth == MaxDepth:
		p.fail("too_deep", fmt.Sprintf("nested deeper than %d", MaxDepth))
		return nil
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	default:
		return p.literal()
	}
}

func (p *parser) object(depth int) map[string]any {
	all := map[string]any{}
	p.take('{')
	if p.take('}') {
		return all
	}
	for p.err == nil {
		if p.next() != '"' {
			p.malformed("a member's name is expected")
			return nil
		}
		name := p.text()
		if _, repeated := all[name]; repeated {
			p.fail("duplicate_member", "a member of that name was there before")
		}
		if p.names++; p.names > MaxNames {
			p.fail("too_many_members", fmt.Sprintf("more than %d members", MaxNames))
			return nil
		}
		p.space()
		if !p.take(':') {
			p.malformed("a colon is expected")
		}
		all[name] = p.value(depth)
		p.space()
		if p.take('}') {
			return all
		}
		if !p.take(',') {
			p.malformed("a comma or the end of the object is expected")
		}
	}
	return nil
}

func (p *parser) array(depth int) []any {
	all := []any{}
	p.take('[')
	if p.take(']') {
		return all
	}
	for p.err == nil {
		if p.items++; p.items > MaxItems {
			p.fail("too_many_items", fmt.Sprintf("more than %d items", MaxItems))
			return nil
		}
		all = append(all, p.value(depth))
		p.space()
		if p.take(']') {
			return all
		}
		if !p.take(',') {
			p.malformed("a comma or the end of the array is expected")
		}
	}
	return nil
}

func (p *parser) literal() any {
	switch {
	case p.word("true"):
		return true
	case p.word("false"):
		return false
	case !p.word("null"):
		p.malformed("a value is expected")
	}
	return nil
}

func (p *parser) word(w string) bool {
	if len(p.body)-p.at < len(w) || string(p.body[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

// number follows RFC 8259 §6 to the letter.
func (p *parser) number() any {
	start := p.at
	if p.next() == '-' {
		p.at++
	}
	if p.next() == '0' {
		p.at++
	} else {
		p.digits()
	}
	if p.next() == '.' {
		p.at++
		p.digits()
	}
	if c := p.next(); c == 'e' || c == 'E' {
		p.at++
		if c := p.next(); c == '+' || c == '-' {
			p.at++
		}
		p.digits()
	}
	if p.at-start > MaxNumber {
		p.fail("number_too_long", fmt.Sprintf("a number has more than %d characters", MaxNumber))
		return nil
	}
	return json.Number(p.body[start:p.at])
}

func (p *parser) digits() {
	start := p.at
	for p.next() >= '0' && p.next() <= '9' {
		p.at++
	}
	if p.at == start {
		p.malformed("a digit is expected")
	}
}

// text reads a string. Most have no escapes and are taken as they are.
func (p *parser) text() string {
	p.at++
	start := p.at
	for p.at < len(p.body) {
		switch c := p.body[p.at]; {
		case c == '"':
			p.at++
			return string(p.body[start : p.at-1])
		case c == '\\':
			return p.escaped(append([]byte(nil), p.body[start:p.at]...))
		case c < ' ':
			p.malformed("a control character must be escaped")
			return ""
		}
		p.at++
	}
	p.malformed("a string has no end")
	return ""
}

// escaped goes on with a string from its first escape.
func (p *parser) escaped(b []byte) string {
	for p.at < len(p.body) && p.err == nil {
		switch c := p.body[p.at]; {
		case c == '"':
			p.at++
			return string(b)
		case c == '\\':
			p.at++
			b = utf8.AppendRune(b, p.escape())
		case c < ' ':
			p.malformed("a control character must be escaped")
		default:
			b = append(b, c)
			p.at++
		}
	}
	p.malformed("a string has no end")
	return ""
}

// escape reads what follows a backslash. Half of a surrogate pair is refused: it has no UTF-8, and encoding/json would
// put U+FFFD in its place.
func (p *parser) escape() rune {
	c := p.next()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		return p.unicode()
	}
	p.malformed("an escape is unknown")
	return 0
}

func (p *parser) unicode() rune {
	r := p.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if p.at+1 < len(p.body) && p.body[p.at] == '\\' && p.body[p.at+1] == 'u' {
		p.at += 2
		if full := utf16.DecodeRune(r, p.hex4()); full != utf8.RuneError {
			return full
		}
	}
	p.malformed("half of a surrogate pair")
	return 0
}

func (p *parser) hex4() rune {
	var r rune
	for range 4 {
		c := p.next()
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			p.malformed("four hexadecimal digits are expected")
			return 0
		}
		r = r<<4 | rune(c)
		p.at++
	}
	return r
}
