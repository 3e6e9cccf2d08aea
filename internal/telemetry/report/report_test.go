package report_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
)

var source = telemetry.Options{Environment: "prod", Service: "auth", Function: "auth-api", Version: "7"}

func newReporter(o report.Options) (*report.Reporter, *fault.Clock) {
	clock := fault.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC))
	o.Source, o.Now = source, clock.Now
	return report.New(o), clock
}

// written is the event of a failure as it stands in the log.
func written(t testing.TB, r *report.Reporter, f report.Failure) ([]byte, bool) {
	t.Helper()
	attr, ok := r.Event(f)
	if !ok {
		return nil, false
	}
	require.Equal(t, telemetry.FieldEvent, attr.Key)
	var b bytes.Buffer
	telemetry.New(&b, source).LogAttrs(t.Context(), slog.LevelError, "request", attr)
	var line struct {
		Level string
		Event json.RawMessage
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "ERROR", line.Level)
	return line.Event, true
}

// payload is a Sentry event (Sentry Developer Documentation, "Event Payloads"): the members that it requires, and those
// that it documents of which we make use. Others would be dropped without a word.
type payload struct {
	EventID     string    `json:"event_id"`
	Timestamp   time.Time `json:"timestamp"`
	Platform    string    `json:"platform"`
	Level       string    `json:"level"`
	Transaction string    `json:"transaction"`
	Release     string    `json:"release"`
	Environment string    `json:"environment"`
	Fingerprint []string  `json:"fingerprint"`
	Exception   struct {
		Values []struct {
			Type      string `json:"type"`
			Value     string `json:"value"`
			Mechanism *struct {
				Type    string `json:"type"`
				Handled bool   `json:"handled"`
			} `json:"mechanism"`
			Stacktrace *struct {
				Frames []struct {
					Function string `json:"function"`
					Module   string `json:"module"`
					Filename string `json:"filename"`
					Lineno   int    `json:"lineno"`
					InApp    bool   `json:"in_app"`
				} `json:"frames"`
			} `json:"stacktrace"`
		} `json:"values"`
	} `json:"exception"`
	Tags  map[string]string `json:"tags"`
	Extra map[string]any    `json:"extra"`
}

// valid holds an event to Sentry's rules.
func valid(t testing.TB, event []byte) payload {
	t.Helper()
	require.LessOrEqual(t, len(event), report.MaxEvent)
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	var p payload
	require.NoError(t, d.Decode(&p), "%s", event)
	require.Regexp(t, `^[0-9a-f]{32}$`, p.EventID)
	require.False(t, p.Timestamp.IsZero())
	require.Equal(t, "go", p.Platform)
	require.Contains(t, []string{"fatal", "error", "warning", "info", "debug"}, p.Level)
	require.NotEmpty(t, p.Fingerprint)
	require.NotEmpty(t, p.Exception.Values)
	for _, e := range p.Exception.Values {
		require.True(t, e.Type != "" || e.Value != "", "an exception needs a type or a value")
		if e.Stacktrace != nil {
			require.NotEmpty(t, e.Stacktrace.Frames)
			for _, f := range e.Stacktrace.Frames {
				require.True(t, f.Function != "" || f.Filename != "", "a frame needs a function or a file")
			}
		}
	}
	for key, value := range p.Tags {
		require.Regexp(t, regexp.MustCompile(`^[a-zA-Z0-9_.:-]{1,200}$`), key)
		require.LessOrEqual(t, len(value), 200)
		require.NotContains(t, value, "\n")
	}
	require.NotRegexp(t, `[\n\t/\\]`, p.Release)
	require.LessOrEqual(t, len(p.Release), 200)
	require.LessOrEqual(t, len(p.Environment), 64)
	return p
}

// caught runs a function and takes the stack of its panic.
func caught(f func()) (stack report.Stack) {
	defer func() {
		if recover() != nil {
			stack = report.Caught()
		}
	}()
	f()
	return nil
}

func explode() { panic("x") }

func TestAnEvent(t *testing.T) {
	t.Parallel()
	r, _ := newReporter(report.Options{Random: strings.NewReader("0123456789abcdef")})
	cause := &smithy.GenericAPIError{Code: "InternalServerError", Message: "try ada@example.com"}
	failure := report.Failure{
		Err: fmt.Errorf("auth: sign in: %w", apperr.New(apperr.Unavailable, "", "").Because(fmt.Errorf("store: get users: %w", cause))), Route: "POST /login", Code: "unavailable",
		RequestID: "6f1c2f6e-0000-4000-8000-000000000001", Panic: true,
		Stack: report.Stack{{Function: "github.com/expenzez/aws-backend/lambda/auth.(*api).login", File: "github.com/expenzez/aws-backend/lambda/auth/login.go", Line: 42},
			{Function: "github.com/aws/aws-lambda-go/lambda.Start", File: "github.com/aws/aws-lambda-go/lambda/entry.go", Line: 7}},
	}
	event, ok := written(t, r, failure)
	require.True(t, ok)
	p := valid(t, event)
	require.Equal(t, hex.EncodeToString([]byte("0123456789abcdef")), p.EventID)
	require.Equal(t, map[string]string{"environment": "prod", "function": "auth-api", "version": "7", "route": "POST /login", "code": "unavailable",
		"request_id": "6f1c2f6e-0000-4000-8000-000000000001"}, p.Tags)
	last := p.Exception.Values[len(p.Exception.Values)-1]
	require.Equal(t, "panic", last.Type)
	require.False(t, last.Mechanism.Handled)
	frames := last.Stacktrace.Frames
	require.Equal(t, "(*api).login", frames[len(frames)-1].Function, "the innermost frame is the last")
	require.True(t, frames[1].InApp)
	require.False(t, frames[0].InApp)
	require.Equal(t, "InternalServerError", p.Exception.Values[0].Type, "the first cause is first")
	require.NotContains(t, string(event), "ada@")
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, event, "", "  "))
	golden.Compare(t, "testdata/event.golden.json", append(pretty.Bytes(), '\n'))
}

func TestEverySortOfErrorMakesAValidEvent(t *testing.T) {
	t.Parallel()
	deep := io.EOF
	for i := range 100 {
		deep = fmt.Errorf("%d %s: %w", i, strings.Repeat("\x01", 9000), deep)
	}
	var many []error
	for i := range 100 {
		many = append(many, apperr.New(apperr.Internal, fmt.Sprint("c", i), "").Because(errors.New(strings.Repeat("\x01", 9000))))
	}
	long := make(report.Stack, 500)
	for i := range long {
		long[i] = report.Frame{Function: "github.com/expenzez/aws-backend/" + strings.Repeat("\x01", 9000), File: strings.Repeat("\x01", 9000), Line: i}
	}
	cases := map[string]report.Failure{
		"nothing":   {},
		"plain":     {Err: errors.New("x")},
		"empty":     {Err: errors.New("")},
		"joined":    {Err: errors.Join(io.EOF, apperr.New(apperr.Timeout, "", ""))},
		"deep":      {Err: deep},
		"many":      {Err: errors.Join(many...)},
		"nil_cause": {Err: apperr.New(apperr.Internal, "", "")},
		"panics":    {Err: (*broken)(nil)},
		"long":      {Err: deep, Panic: true, Stack: long, Route: strings.Repeat("é", 9000), Code: strings.Repeat("x", 9000), RequestID: strings.Repeat("\x01", 9000)},
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newReporter(report.Options{})
			event, ok := written(t, r, f)
			require.True(t, ok)
			p := valid(t, event)
			require.LessOrEqual(t, len(p.Exception.Values), 8)
		})
	}
	r, _ := newReporter(report.Options{Random: strings.NewReader("")})
	event, ok := written(t, r, report.Failure{Err: io.EOF})
	require.True(t, ok, "an event is made without randomness too")
	valid(t, event)
}

type broken struct{}

func (b *broken) Error() string { panic(b) }

func TestTheStackOfAPanic(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"panic":    explode,
		"fault":    func() { var p *struct{ x int }; p.x = 1; explode() },
		"index":    func() { explodeAt(nil) },
		"deferred": func() { defer func() { _ = 1 }(); explode() },
	} {
		stack := caught(f)
		require.NotEmpty(t, stack, name)
		require.Regexp(t, `^github\.com/expenzez/aws-backend/internal/telemetry/report_test\.`, stack[0].Function, name)
		require.Equal(t, "github.com/expenzez/aws-backend/internal/telemetry/report_test/report_test.go", stack[0].File, name)
		require.NotContains(t, stack.String(), "runtime.gopanic", name)
		require.NotContains(t, stack.String(), "Caught", name)
		require.Contains(t, stack.String(), "report_test.caught ", name)
	}
	require.NotEmpty(t, report.Caught(), "without a panic it is the caller's")
}

func explodeAt(list []int) { list[len(list)] = 1 }

func fingerprint(t testing.TB, f report.Failure) string {
	t.Helper()
	r, _ := newReporter(report.Options{})
	event, ok := written(t, r, f)
	require.True(t, ok)
	return valid(t, event).Fingerprint[0]
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	stack := func(line int, function string) report.Stack {
		return report.Stack{{Function: "github.com/expenzez/aws-backend/lambda/auth." + function, File: "auth.go", Line: line}, {Function: "runtime.main", File: "x", Line: line}}
	}
	base := report.Failure{Err: fmt.Errorf("store: get item 42 of \"a\": %w", io.ErrUnexpectedEOF), Route: "GET /x", Code: "internal", Stack: stack(1, "f"), RequestID: "1"}
	want := fingerprint(t, base)
	change := func(f func(*report.Failure)) report.Failure { c := base; f(&c); return c }
	for name, f := range map[string]report.Failure{
		"again":         base,
		"other_line":    change(func(f *report.Failure) { f.Stack = stack(2, "f") }),
		"other_request": change(func(f *report.Failure) { f.RequestID = "2" }),
		"other_values": change(func(f *report.Failure) {
			f.Err = fmt.Errorf("store: get item 43 of \"b\": %w", io.ErrUnexpectedEOF)
		}),
		"other_library_frames": change(func(f *report.Failure) { f.Stack = f.Stack[:1] }),
	} {
		require.Equal(t, want, fingerprint(t, f), name)
	}
	for name, f := range map[string]report.Failure{
		"other_function": change(func(f *report.Failure) { f.Stack = stack(1, "g") }),
		"other_route":    change(func(f *report.Failure) { f.Route = "GET /y" }),
		"other_code":     change(func(f *report.Failure) { f.Code = "timeout" }),
		"other_cause":    change(func(f *report.Failure) { f.Err = fmt.Errorf("store: get item 42 of \"a\": %w", io.EOF) }),
		"other_words":    change(func(f *report.Failure) { f.Err = fmt.Errorf("store: put item 42 of \"a\": %w", io.ErrUnexpectedEOF) }),
		"other_kind":     change(func(f *report.Failure) { f.Err = &smithy.GenericAPIError{Code: "X"} }),
	} {
		require.NotEqual(t, want, fingerprint(t, f), name)
	}
}

func numbered(i int) report.Failure { return report.Failure{Err: io.EOF, Route: fmt.Sprint(i)} }

func TestTheCap(t *testing.T) {
	t.Parallel()
	r, clock := newReporter(report.Options{})
	for i := range report.PerMinute {
		_, ok := r.Event(numbered(i))
		require.True(t, ok)
		_, ok = r.Event(numbered(i))
		require.False(t, ok, "one of each kind")
		clock.Jump(time.Second)
	}
	for range 90 {
		_, ok := r.Event(numbered(1000))
		require.False(t, ok)
	}
	clock.Jump(time.Minute - report.PerMinute*time.Second - time.Nanosecond)
	_, ok := r.Event(numbered(1001))
	require.False(t, ok, "the first one is not a minute old")
	clock.Jump(time.Nanosecond)
	event, ok := written(t, r, numbered(1000))
	require.True(t, ok)
	require.EqualValues(t, 1+90+1, valid(t, event).Extra["suppressed"])
	_, ok = r.Event(numbered(1001))
	require.False(t, ok, "the second one is not a minute old")
	clock.Jump(time.Second)
	event, ok = written(t, r, numbered(1))
	require.True(t, ok, "a kind may come again after its minute")
	require.EqualValues(t, 1, valid(t, event).Extra["suppressed"])
	clock.Jump(time.Second)
	event, ok = written(t, r, numbered(1002))
	require.True(t, ok)
	require.Nil(t, valid(t, event).Extra)
	clock.Jump(-time.Hour)
	_, ok = r.Event(numbered(2))
	require.True(t, ok, "a clock that goes back does not silence the sandbox")
}

func TestTheCapHoldsForManyAtOnce(t *testing.T) {
	t.Parallel()
	r, _ := newReporter(report.Options{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	made := 0
	for i := range 64 {
		wg.Go(func() {
			if _, ok := r.Event(numbered(i)); ok {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, report.PerMinute, made)
}

func FuzzEvent(f *testing.F) {
	f.Add("store: get", "GET /x", "internal", 3)
	f.Add("\xff\x00\"", "\u2028", "", 0)
	f.Add("a: b: c", "é", "\\", 60)
	f.Fuzz(func(t *testing.T, text, route, code string, frames int) {
		err := fmt.Errorf("%s ada@example.com +447911123456: %w", text, &smithy.GenericAPIError{Code: code, Message: text + " ada@example.com"})
		stack := make(report.Stack, max(0, frames%100))
		for i := range stack {
			stack[i] = report.Frame{Function: text + ".f", File: text, Line: i}
		}
		r, _ := newReporter(report.Options{})
		event, ok := written(t, r, report.Failure{Err: err, Route: route, Code: code, Stack: stack, Panic: frames%2 == 0})
		require.True(t, ok)
		require.True(t, json.Valid(event))
		require.LessOrEqual(t, len(event), report.MaxEvent)
		require.NotContains(t, string(event), "ada@")
		require.NotContains(t, string(event), "7911123456")
	})
}
