package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// event is one event before it is written.
type event struct {
	failure     Failure
	source      telemetry.Options
	chain       []layer
	fingerprint string
	id          string
	at          time.Time
	suppressed  int
}

// value is the event in Sentry's shape (Sentry Developer Documentation, "Event Payloads", "Exception Interface", "Stack
// Trace Interface"), with so many frames and so long texts.
func (e event) value(frames, text int) slog.Value {
	level := "error"
	if e.failure.Panic {
		level = "fatal"
	}
	attrs := []slog.Attr{
		slog.String("event_id", e.id),
		slog.Time("timestamp", e.at.UTC().Truncate(time.Millisecond)),
		slog.String("platform", "go"),
		slog.String("level", level),
		slog.String("transaction", short(e.failure.Route, maxTag)),
		slog.String("environment", e.source.Environment),
		slog.String("release", strings.Trim(e.source.Function+"-"+e.source.Version, "-")),
		slog.Any("fingerprint", []string{e.fingerprint}),
		{Key: "exception", Value: slog.GroupValue(slog.Any("values", e.exceptions(frames, text)))},
		{Key: "tags", Value: slog.GroupValue(e.tags()...)},
	}
	if e.suppressed > 0 {
		attrs = append(attrs, slog.Group("extra", slog.Int("suppressed", e.suppressed)))
	}
	return slog.GroupValue(attrs...)
}

func (e event) tags() []slog.Attr {
	var tags []slog.Attr
	for _, t := range [][2]string{
		{telemetry.FieldEnvironment, e.source.Environment}, {telemetry.FieldFunction, e.source.Function}, {telemetry.FieldVersion, e.source.Version},
		{telemetry.FieldRoute, e.failure.Route}, {telemetry.FieldCode, e.failure.Code}, {telemetry.FieldRequestID, e.failure.RequestID},
	} {
		if t[1] != "" {
			tags = append(tags, slog.String(t[0], short(t[1], maxTag)))
		}
	}
	return tags
}

// exceptions are the errors of the failure, the first cause first. The last one has the stack.
func (e event) exceptions(frames, text int) telemetry.List {
	var all telemetry.List
	for i := len(e.chain) - 1; i >= 0; i-- {
		l := e.chain[i]
		attrs := []slog.Attr{slog.String("type", l.kind), slog.String("value", short(l.text, text))}
		if i == 0 {
			kind := "generic"
			if e.failure.Panic {
				kind = "panic"
				attrs[0] = slog.String("type", kind)
			}
			attrs = append(attrs, slog.Group("mechanism", slog.String("type", kind), slog.Bool("handled", !e.failure.Panic)))
			if list := e.failure.Stack.frames(frames); len(list) > 0 {
				attrs = append(attrs, slog.Group("stacktrace", slog.Any("frames", list)))
			}
		}
		all = append(all, slog.GroupValue(attrs...))
	}
	return all
}

// layer is one error of a chain.
type layer struct {
	kind string // its code with AWS, else its Go type
	text string // redacted
	own  string // what it adds to the text of the next one
}

// unwrap lists an error and its causes, outermost first, depth first where there are several. Those that only add words
// are left out between the first and the last: their words are in the first.
func unwrap(err error) []layer {
	var all []layer
	var walk func(error)
	walk = func(err error) {
		if err == nil || len(all) >= maxChain {
			return
		}
		l := layer{kind: fmt.Sprintf("%T", err), text: telemetry.ErrorText(err)}
		if coded, ok := err.(interface{ ErrorCode() string }); ok {
			l.kind = short(coded.ErrorCode(), maxTag)
		}
		var causes []error
		switch u := err.(type) { //nolint:errorlint // each error of the chain is looked at by itself
		case interface{ Unwrap() error }:
			causes = []error{u.Unwrap()}
		case interface{ Unwrap() []error }:
			causes = u.Unwrap()
		}
		l.own = l.text
		if len(causes) == 1 && causes[0] != nil {
			l.own = strings.TrimSuffix(l.text, telemetry.ErrorText(causes[0]))
		}
		if len(all) == 0 || len(causes) == 0 || !strings.HasPrefix(l.kind, "*fmt.") && !strings.HasPrefix(l.kind, "*errors.") {
			all = append(all, l)
		}
		for _, c := range causes {
			walk(c)
		}
	}
	walk(err)
	return all
}

// fingerprint is the same for failures that are the same to a developer: function, route, code, the kinds of the errors
// with their fixed words, and the functions of ours that a panic passed. Line numbers and values are not in it.
func fingerprint(function string, f Failure, chain []layer) string {
	h := sha256.New()
	add := func(parts ...string) {
		for _, p := range parts {
			_, _ = io.WriteString(h, p+"\x00") // a hash takes everything
		}
	}
	add(function, f.Route, f.Code)
	for _, l := range chain {
		add(l.kind, fixed(l.own))
	}
	for _, frame := range f.Stack {
		if frame.inApp() {
			add(frame.Function)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// fixed keeps the words of a text that are likely to be in the program: letters only.
func fixed(s string) string {
	var words []string
	for _, w := range strings.Fields(s) {
		w = strings.Trim(w, ".,:;()")
		if w != "" && strings.IndexFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' && r != '-' }) < 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// short redacts a text, then cuts it: half a token would have no look of its own.
func short(s string, most int) string {
	if s = telemetry.Text(s); len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
