package breaker

import (
	"context"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// Metrics is a Watcher that counts what a circuit does, under its name in package telemetry, among the metrics of the
// request that the call belongs to.
type Metrics telemetry.Breaker

var _ Watcher = Metrics("")

// StateChanged counts the change by the state that it led to.
func (m Metrics) StateChanged(ctx context.Context, _ string, _, to State) {
	switch b := telemetry.Breaker(m); to {
	case Open:
		telemetry.Count(ctx, b.Opened(), 1)
	case HalfOpen:
		telemetry.Count(ctx, b.HalfOpened(), 1)
	case Closed:
		telemetry.Count(ctx, b.Closed(), 1)
	}
}

// Rejected counts the call.
func (m Metrics) Rejected(ctx context.Context, _ string) {
	telemetry.Count(ctx, telemetry.Breaker(m).Rejected(), 1)
}
