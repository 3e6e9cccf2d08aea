package report

import (
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"strings"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// module is what the import paths of this module's packages begin with.
const module = "github.com/expenzez/aws-backend/"

// Frame is one function of a stack.
type Frame struct {
	Function string // with its package's import path
	File     string // import path and name of the file
	Line     int
}

// Stack is where a panic came from, innermost first.
type Stack []Frame

// Caught is the stack of the panic that a deferred function has just recovered: it is to be called there. Without a
// panic it is the caller's stack.
func Caught() Stack {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var all Stack
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); f.Function == "" || f.Function == "runtime.goexit" {
			continue
		}
		all = append(all, Frame{f.Function, packageOf(f.Function) + "/" + path.Base(f.File), f.Line})
		if f.Function == "runtime.gopanic" { // what is above it ran after the panic
			all = all[:0]
		}
	}
	for len(all) > 0 && strings.HasPrefix(all[0].Function, "runtime.") { // what turned a fault into a panic
		all = all[1:]
	}
	return all
}

// packageOf is the import path in the name of a function.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

func (f Frame) inApp() bool { return strings.HasPrefix(f.Function, module) }

// String is a stack as text, one line a frame.
func (s Stack) String() string {
	var b strings.Builder
	for _, f := range s {
		fmt.Fprintf(&b, "%s %s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// frames are the innermost frames in Sentry's shape and order, outermost first.
func (s Stack) frames(most int) telemetry.List {
	var all telemetry.List
	for i := min(len(s), most) - 1; i >= 0; i-- {
		f := s[i]
		pkg := packageOf(f.Function)
		all = append(all, slog.GroupValue(
			slog.String("function", strings.TrimPrefix(f.Function, pkg+".")),
			slog.String("module", pkg),
			slog.String("filename", f.File),
			slog.Int("lineno", f.Line),
			slog.Bool("in_app", f.inApp()),
		))
	}
	return all
}
