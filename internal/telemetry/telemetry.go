// Package telemetry says what a function does: a log of one JSON object a line, metrics inside the line that sums a
// request up, and spans. Nothing runs in the background, so that a sandbox may be frozen at any time.
//
// Whatever the caller passes, a line is valid JSON and holds no secret: values hide by their type, by the name of their
// attribute, and by what they look like (see Text, and there what it cannot find).
package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// MaxField is how many bytes of one attribute are written.
const MaxField = 8 << 10

// Redacted stands where a value was.
const Redacted = "[redacted]"

// Options say what every line carries. Empty attributes are left out.
type Options struct {
	Environment string
	Service     string
	Function    string
	Version     string           // published version of the function
	Level       slog.Leveler     // nil: info
	Now         func() time.Time // of the line that ends a request, and so of its metrics; nil: time.Now
}

// New makes a logger that writes to w, one Write a line. Times are called timestamp and texts message, which are the
// names that Lambda's own filter by level reads (AWS Lambda Developer Guide, "Configuring JSON and plain text log
// formats"). Attributes may be plain values, errors, lists of strings, List, groups and slog.LogValuer; any other type is
// left out, since nobody can tell what its fields hold. Ids (see Fields) are members of the root, also when they are
// given inside a group, and each at most once: the last one counts. An attribute of the root whose name belongs to this
// package gets an underscore behind it. Other names are not made unique, as with slog's own handlers.
func New(w io.Writer, o Options) *slog.Logger {
	h := &handler{out: &output{w: w}, o: o}
	for _, a := range []slog.Attr{slog.String(FieldEnvironment, o.Environment), slog.String(FieldService, o.Service),
		slog.String(FieldFunction, o.Function), slog.String(FieldVersion, o.Version)} {
		if a.Value.String() != "" {
			h.ids = setID(h.ids, a)
		}
	}
	return slog.New(h)
}

// OptionsOf are the options of a logger that New made; none of another's.
func OptionsOf(logger *slog.Logger) Options {
	if h, ok := logger.Handler().(*handler); ok {
		return h.o
	}
	return Options{}
}
