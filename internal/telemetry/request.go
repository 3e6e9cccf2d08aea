package telemetry

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	// MaxDebug is how many lines below the level are kept of a request.
	MaxDebug = 64
	// maxDebugBytes bounds them together, maxDebugLine each.
	maxDebugBytes = 32 << 10
	maxDebugLine  = 4 << 10
)

// request is what belongs to one request: its metrics, and the lines that are written only if it fails.
type request struct {
	logger *slog.Logger // with the ids of the request

	mu      sync.Mutex
	ended   bool
	counted []measure
	debug   [][]byte
	bytes   int
}

type contextKey struct{}

// scope is what a context carries.
type scope struct {
	logger  *slog.Logger
	request *request // nil outside a request
}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(contextKey{}).(scope)
	return s
}

// Into puts a logger into a context: the one with the request's attributes.
func Into(ctx context.Context, logger *slog.Logger) context.Context {
	return context.WithValue(ctx, contextKey{}, scope{logger, scopeOf(ctx).request})
}

// From is the logger of a context; one that writes nothing when there is none.
func From(ctx context.Context) *slog.Logger {
	if s := scopeOf(ctx); s.logger != nil {
		return s.logger
	}
	return slog.New(slog.DiscardHandler)
}

// Begin starts a request. Under the context that it returns, From is the logger with the request's attributes and the id
// of its trace, Count counts for the request, and lines below the logger's level are kept: the last 64 of them, 32 KiB at
// most. They are written inside the next line of level error as its field debug, and forgotten when the request ends.
// They are members of that line, not lines, because Lambda's filter would drop those.
//
// The logger is one of New, or derived from one; another is used as it is, without debug lines and metrics.
func Begin(ctx context.Context, logger *slog.Logger, attrs ...slog.Attr) context.Context {
	if t, ok := ParseTrace(TraceID(ctx)); ok {
		attrs = append(slices.Clip(attrs), slog.String(FieldTraceID, t.Root))
	}
	r := &request{}
	h := logger.Handler().WithAttrs(attrs)
	if own, ok := h.(*handler); ok {
		own.request = r // WithAttrs has just made it
	}
	r.logger = slog.New(h)
	return context.WithValue(ctx, contextKey{}, scope{r.logger, r})
}

// Count adds to a metric of the request. Outside a request, after its end, for a metric that is not in Metrics and for
// what is no number it does nothing. It is safe for concurrent use.
func Count(ctx context.Context, m Metric, value float64) {
	r := scopeOf(ctx).request
	info, ok := m.info()
	if r == nil || !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.counted = add(r.counted, measure{info, value})
}

// Answered counts a request that was answered with an HTTP status, and says so on the span of the context. It returns
// the attributes that the line has of it.
func Answered(ctx context.Context, status int, took time.Duration, cold bool) []slog.Attr {
	millis := float64(took.Microseconds()) / 1000
	Count(ctx, Requests, 1)
	Count(ctx, Duration, millis)
	if status >= http.StatusInternalServerError {
		Count(ctx, Errors5xx, 1)
	}
	if status == http.StatusTooManyRequests {
		Count(ctx, Limited, 1)
	}
	if cold {
		Count(ctx, ColdStart, 1)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(AttrStatus.Int(status), AttrColdStart.Bool(cold))
	}
	return []slog.Attr{slog.Int(FieldStatus, status), slog.Float64(FieldDuration, millis), slog.Bool(FieldColdStart, cold)}
}

// add adds to the metric's value. What is no number, and what would make it none, is left out.
func add(all []measure, m measure) []measure {
	if math.IsNaN(m.value) || math.IsInf(m.value, 0) {
		return all
	}
	for i := range all {
		if all[i].info.Name == m.info.Name {
			if sum := all[i].value + m.value; !math.IsInf(sum, 0) {
				all[i].value = sum
			}
			return all
		}
	}
	return append(all, m)
}

// Counter counts for the sandbox, for hooks that are given no context and so no request. What it counts is among the
// metrics of the next request under the logger that ends; it is lost when none does. The logger is one of New, or derived
// from one: with another, and for a metric that is not in Metrics, it does nothing. It is safe for concurrent use.
func Counter(logger *slog.Logger, m Metric) func(value float64) {
	h, own := logger.Handler().(*handler)
	info, ok := m.info()
	if !own || !ok {
		return func(float64) {}
	}
	return func(value float64) { h.out.count(measure{info, value}) }
}

// Count counts an answer from the cache, or a question that it could not answer, for the request of the context.
func (c Cache) Count(ctx context.Context, hit bool) {
	if hit {
		Count(ctx, c.Hit(), 1)
	} else {
		Count(ctx, c.Miss(), 1)
	}
}

// Observer is a cache's hook (see cache.Options): it counts hits and misses as Counter does.
func (c Cache) Observer(logger *slog.Logger) func(hit bool) {
	hits, misses := Counter(logger, c.Hit()), Counter(logger, c.Miss())
	return func(hit bool) {
		if hit {
			hits(1)
		} else {
			misses(1)
		}
	}
}

// End writes the line that sums the request up, with its metrics, whatever the level of the logger: metrics are read
// from this line, so that Lambda's own filter must let level info through. What is counted or logged for debugging
// afterwards, by work that was left behind, is lost.
func End(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	r := scopeOf(ctx).request
	if r == nil {
		From(ctx).LogAttrs(ctx, level, message, attrs...)
		return
	}
	h, ok := r.logger.Handler().(*handler)
	if !ok {
		r.logger.LogAttrs(ctx, level, message, attrs...)
		return
	}
	r.mu.Lock()
	counted := r.counted
	again := r.ended
	r.ended, r.counted = true, nil
	r.mu.Unlock()
	if !again {
		counted = h.out.take(counted)
	}
	record := slog.NewRecord(h.o.now(), level, message, 0)
	record.AddAttrs(attrs...)
	_ = h.line(record, counted) // there is nowhere else to say that standard output is gone
	r.forget()
}

// remember keeps a line in case that the request fails. Its ids are left out: the line that it will be part of has them.
func (r *request) remember(h *handler, record slog.Record) {
	if r == nil {
		return
	}
	p := buffers.Get().(*[]byte)
	b := append(h.body((*p)[:0], record, nil), '}')
	if len(b) > maxDebugLine {
		short := *h
		short.with, short.groups, short.opened = nil, nil, 0
		record = slog.NewRecord(record.Time, record.Level, cut(Text(record.Message), maxDebugLine/8), 0)
		b = append(short.body(b[:0], record, nil), `,"truncated":true}`...)
	}
	line := append([]byte(nil), b...)
	*p = b[:0]
	buffers.Put(p)

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.debug = append(r.debug, line)
	r.bytes += len(line)
	for len(r.debug) > MaxDebug || r.bytes > maxDebugBytes {
		r.bytes -= len(r.debug[0])
		r.debug = r.debug[1:]
	}
}

// dump adds the lines that were kept, once.
func (r *request) dump(b []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.debug) == 0 {
		return b
	}
	b = append(b, `,"`+FieldDebug+`":[`...)
	for _, line := range r.debug {
		b = append(comma(b), line...)
	}
	r.debug, r.bytes = nil, 0
	return append(b, ']')
}

func (r *request) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.debug, r.bytes = nil, 0
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func (o Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}
