package telemetry

import (
	"context"
	"strings"
)

// TraceID is the X-Ray trace header of the invocation, empty outside one. The Go runtime hands it over in the context
// under this name (aws-lambda-go, lambda/invoke_loop.go); the environment variable is unsafe with several at once.
func TraceID(ctx context.Context) string {
	id, _ := ctx.Value("x-amzn-trace-id").(string)
	return id
}

// Trace is what a trace header says (X-Ray Developer Guide, "Tracing header").
type Trace struct {
	Root    string // id of the trace: 1-, 8 hexadecimal digits, -, 24 of them
	Parent  string // id of the segment that is waiting: 16 hexadecimal digits; empty: none
	Sampled bool   // whether anybody will look: false when it is 0, not decided, or left out
}

// ParseTrace reads a trace header: members of the form Name=value between semicolons, in any order; those of other names
// are skipped. ok is false when there is no valid id of a trace, when the parent is none, and when a member is repeated.
func ParseTrace(header string) (t Trace, ok bool) {
	if len(header) > 1<<10 {
		return Trace{}, false
	}
	var sampled string
	for member := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		var into *string
		switch name {
		case "Root":
			into = &t.Root
		case "Parent":
			into = &t.Parent
		case "Sampled":
			into = &sampled
		default:
			continue
		}
		if *into != "" {
			return Trace{}, false
		}
		*into = value
	}
	r := t.Root
	if len(r) != 35 || r[:2] != "1-" || r[10] != '-' || !isHex(r[2:10]) || !isHex(r[11:]) || t.Parent != "" && (len(t.Parent) != 16 || !isHex(t.Parent)) {
		return Trace{}, false
	}
	t.Sampled = sampled == "1"
	return t, true
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
