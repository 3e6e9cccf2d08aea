// Package telemetry writes the log of a function: one JSON object a line, on standard output, nothing in the
// background. Whatever the caller passes, a line holds no secret: values hide by their type, by the name of their
// attribute, and by what they look like.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxField is how many bytes of one attribute are written.
const MaxField = 8 << 10

// Redacted stands where a value was.
const Redacted = "[redacted]"

// Options say what every line carries. Empty attributes are left out.
type Options struct {
	Environment string
	Function    string
	Version     string       // published version of the function
	Level       slog.Leveler // nil: info
}

// New makes a logger that writes to w, one Write a line. Times are called timestamp and texts message, which are the
// names that Lambda's own filter by level reads (AWS Lambda Developer Guide, "Configuring JSON and plain text log
// formats"). Attributes may be plain values, errors, lists of strings and slog.LogValuer; any other type is left out,
// since nobody can tell what its fields hold.
func New(w io.Writer, o Options) *slog.Logger {
	logger := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: replace}))
	for _, a := range []slog.Attr{slog.String("environment", o.Environment), slog.String("function", o.Function), slog.String("version", o.Version)} {
		if a.Value.String() != "" {
			logger = logger.With(a)
		}
	}
	return logger
}

// replace renames slog's own attributes and hides what must not be written.
func replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.TimeKey:
			return slog.String("timestamp", a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
		case slog.MessageKey:
			return slog.String("message", text(a.Value.String()))
		case slog.LevelKey:
			return a
		}
	}
	if private(a.Key) || slices.ContainsFunc(groups, private) {
		return slog.String(a.Key, Redacted)
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, text(v.String()))
	case slog.KindAny:
		return slog.Any(a.Key, known(v.Any()))
	default:
		return a
	}
}

func known(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case error:
		return text(v.Error())
	case []string:
		all := make([]string, len(v))
		for i, s := range v {
			all[i] = text(s)
		}
		return all
	default:
		return "[omitted]"
	}
}

// private tells whether an attribute's name says that its value is not for logs, however it is spelled.
func private(key string) bool {
	key = strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, key)
	for _, word := range [...]string{"password", "passwd", "secret", "token", "authorization", "cookie", "credential", "privatekey", "apikey",
		"email", "phone", "address", "birth", "fullname", "body", "sourceip"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// text hides words that look like a mail address or a JSON Web Token, and bounds the rest.
func text(s string) string {
	if strings.Contains(s, "@") || strings.Contains(s, "eyJ") {
		words := strings.Split(s, " ")
		for i, w := range words {
			if strings.Contains(w, "@") || strings.Contains(w, "eyJ") {
				words[i] = Redacted
			}
		}
		s = strings.Join(words, " ")
	}
	if len(s) <= MaxField {
		return s
	}
	n := MaxField
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

type contextKey struct{}

// Into puts a logger into a context: the one with the request's attributes.
func Into(ctx context.Context, logger *slog.Logger) context.Context {
	return context.WithValue(ctx, contextKey{}, logger)
}

// From is the logger of a context; one that writes nothing when there is none.
func From(ctx context.Context) *slog.Logger {
	if logger, ok := ctx.Value(contextKey{}).(*slog.Logger); ok {
		return logger
	}
	return slog.New(slog.DiscardHandler)
}

// TraceID is the X-Ray trace header of the invocation, empty outside one. The Go runtime hands it over in the context
// under this name (aws-lambda-go, lambda/invoke_loop.go); the environment variable is unsafe with several at once.
func TraceID(ctx context.Context) string {
	id, _ := ctx.Value("x-amzn-trace-id").(string)
	return id
}
