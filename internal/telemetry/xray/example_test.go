package xray_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
)

func Example() {
	agent := &wire{}
	h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
		_, span := telemetry.StartSpan(ctx, "KMS", trace.WithSpanKind(trace.SpanKindClient))
		span.SetAttributes(telemetry.AttrAWSService.String("KMS"), telemetry.AttrOperation.String("Decrypt"))
		telemetry.EndSpan(span, nil)
		return nil, nil
	}), "auth-api", xray.Options{Exporter: xray.NewExporter(agent)})
	for _, sampled := range []string{"0", "1"} {
		ctx := within(context.Background(), "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled="+sampled)
		_, _ = h.Invoke(ctx, nil)
		fmt.Println(sampled, len(agent.datagrams))
	}
	// Output:
	// 0 0
	// 1 1
}
