package xray

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Nothing is kept of an invocation after it, whatever its work does later.
func TestNothingIsKept(t *testing.T) {
	t.Parallel()
	c := &collector{open: map[trace.SpanID]*invocation{}}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c)).Tracer("")
	i := &invocation{}
	ctx := context.WithValue(t.Context(), invocationKey{}, i)
	ctx, root := tracer.Start(ctx, "root")
	_, left := tracer.Start(ctx, "left behind")
	root.End()
	require.Len(t, c.open, 1)
	require.Len(t, c.take(i), 2)
	require.Empty(t, c.open)
	_, late := tracer.Start(ctx, "late")
	require.Empty(t, c.open, "a span that starts after its invocation is not waited for")
	left.End()
	late.End()
	require.Empty(t, c.take(i))
	_, outside := tracer.Start(t.Context(), "no invocation")
	outside.End()
	require.Empty(t, c.open)
	require.NoError(t, c.ForceFlush(ctx))
	require.NoError(t, c.Shutdown(ctx))
}
