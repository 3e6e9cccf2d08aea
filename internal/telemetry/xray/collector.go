package xray

import (
	"context"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// MaxSpans is how many spans an invocation may have. Those beyond are counted, and the number is in the invocation's own.
const MaxSpans = 128

// collector gathers the spans of each invocation until it ends. It is a processor of spans that exports nothing itself.
type collector struct {
	mu   sync.Mutex
	open map[trace.SpanID]*invocation // by spans that have not ended
}

type invocationKey struct{}

// invocation is what the collector has of one. Its fields belong to the collector's lock.
type invocation struct {
	ended   []sdktrace.ReadOnlySpan
	open    []sdktrace.ReadWriteSpan
	dropped int
	closed  bool
}

var _ sdktrace.SpanProcessor = (*collector)(nil)

// OnStart takes a span up for the invocation of its context.
func (c *collector) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	i, _ := ctx.Value(invocationKey{}).(*invocation)
	if i == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case i.closed:
	case len(i.ended)+len(i.open) >= MaxSpans:
		i.dropped++
	default:
		i.open = append(i.open, s)
		c.open[s.SpanContext().SpanID()] = i
	}
}

// OnEnd takes the copy of the span that does not change any more.
func (c *collector) OnEnd(s sdktrace.ReadOnlySpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := s.SpanContext().SpanID()
	i := c.open[id]
	if i == nil {
		return
	}
	delete(c.open, id)
	for n, o := range i.open {
		if o.SpanContext().SpanID() == id {
			i.open = append(i.open[:n], i.open[n+1:]...)
			break
		}
	}
	i.ended = append(i.ended, s)
}

// take closes an invocation: what ends later is left out. Spans that have not ended, of work that was left behind, are
// among those that it returns; their end is the zero time.
func (c *collector) take(i *invocation) []sdktrace.ReadOnlySpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	i.closed = true
	spans := i.ended
	for _, s := range i.open {
		delete(c.open, s.SpanContext().SpanID())
		spans = append(spans, s)
	}
	i.ended, i.open = nil, nil
	return spans
}

func (c *collector) dropped(i *invocation) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return i.dropped
}

// Shutdown does nothing: invocations are exported when they end.
func (*collector) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing: invocations are exported when they end.
func (*collector) ForceFlush(context.Context) error { return nil }
