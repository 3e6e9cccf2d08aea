package telemetry

import (
	"encoding/json"
	"log/slog"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// maxDepth is how deep groups may be nested.
	maxDepth = 8
	// maxLine is from how many bytes on a line takes no more attributes. With the field that crosses it, it stays below
	// 256 KB. The embedded metric format allows 1 MB (CloudWatch User Guide, "Specification: Embedded metric format");
	// earlier editions of that page, and of the limits of CloudWatch Logs, said 256 KB.
	maxLine = 160 << 10
	omitted = "[omitted]"
)

// List is an attribute's value that is a list. Like a group it is written with everything in it redacted.
type List []slog.Value

// comma separates a member from the one before it.
func comma(b []byte) []byte {
	if len(b) == 0 || b[len(b)-1] != '{' && b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	return b
}

func appendKey(b []byte, key string) []byte {
	b = comma(b)
	if !plain(key) {
		key = Text(key)
	}
	return append(appendString(b, key), ':')
}

// plain tells whether a name is one as programs write them, with nothing in it to hide.
func plain(key string) bool {
	if len(key) >= tokenLength {
		return false
	}
	for i := range len(key) {
		if c := key[i]; classes[c]&(lower|upper) == 0 && c != '_' {
			return false
		}
	}
	return true
}

// appendAttr adds a member; nothing for an attribute without a value and for an empty group, as slog's own handlers do.
// A group without a name becomes its members.
func appendAttr(b []byte, a slog.Attr, hide bool, depth int) []byte {
	if len(b) > maxLine {
		return b
	}
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		switch {
		case depth >= maxDepth:
			v = slog.StringValue(omitted)
		case a.Key == "":
			for _, member := range v.Group() {
				b = appendAttr(b, member, hide, depth+1)
			}
			return b
		default:
			mark := len(b)
			b = append(appendKey(b, a.Key), '{')
			start := len(b)
			hide = hide || private(a.Key)
			for _, member := range v.Group() {
				b = appendAttr(b, member, hide, depth+1)
			}
			if len(b) == start {
				return b[:mark]
			}
			return append(b, '}')
		}
	}
	if a.Key == "" && v.Equal(slog.Value{}) {
		return b
	}
	return appendValue(appendKey(b, a.Key), v, hide || private(a.Key), depth)
}

// appendValue writes a resolved value. Whatever its type is not known to hold is left out.
func appendValue(b []byte, v slog.Value, hide bool, depth int) []byte {
	if hide {
		return append(b, `"`+Redacted+`"`...)
	}
	switch v.Kind() {
	case slog.KindString:
		return appendString(b, Text(v.String()))
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return appendFloat(b, v.Float64())
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return strconv.AppendInt(b, int64(v.Duration()), 10)
	case slog.KindTime:
		return append(v.Time().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
	case slog.KindGroup: // in a list
		b = append(b, '{')
		for _, member := range v.Group() {
			b = appendAttr(b, member, false, depth+1)
		}
		return append(b, '}')
	default:
		return appendAny(b, v.Any(), depth)
	}
}

func appendAny(b []byte, v any, depth int) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case error:
		return appendString(b, ErrorText(v))
	case []string:
		b = append(b, '[')
		for _, s := range v {
			if len(b) > maxLine {
				break
			}
			b = appendString(comma(b), Text(s))
		}
		return append(b, ']')
	case List:
		if depth >= maxDepth {
			break
		}
		b = append(b, '[')
		for _, member := range v {
			if len(b) > maxLine {
				break
			}
			b = appendValue(comma(b), member.Resolve(), false, depth+1)
		}
		return append(b, ']')
	}
	return append(b, `"`+omitted+`"`...)
}

// ErrorText is an error's text, redacted like Text. An error that panics, as those do whose pointer is nil, has none.
func ErrorText(err error) (s string) {
	defer func() {
		if recover() != nil {
			s = omitted
		}
	}()
	return Text(err.Error())
}

// appendFloat writes a number; what JSON has no number for is a text.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(b, strconv.FormatFloat(f, 'g', -1, 64))
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString writes a text as JSON (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// Encode is a value as the log writes it, redacted, for those who must know how long it becomes.
func Encode(v slog.Value) json.RawMessage { return appendValue(nil, v.Resolve(), false, 0) }
