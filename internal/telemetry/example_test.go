package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

func Example() {
	log := telemetry.New(os.Stdout, telemetry.Options{Service: "auth", Function: "auth-api", Now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
	ctx := telemetry.Begin(context.Background(), log, slog.String(telemetry.FieldRequestID, "r1"))
	telemetry.Count(ctx, telemetry.Requests, 1)
	telemetry.End(ctx, slog.LevelInfo, "request", slog.Any(telemetry.FieldError, errors.New("no user ada@example.com")), slog.String("password", "x"))
	// Output:
	// {"timestamp":"2027-01-15T08:00:00.000Z","level":"INFO","message":"request","service":"auth","function":"auth-api","request_id":"r1","error":"no user [redacted]","password":"[redacted]","Requests":1,"_aws":{"Timestamp":1800000000000,"CloudWatchMetrics":[{"Namespace":"Expenzez","Dimensions":[["service","function"]],"Metrics":[{"Name":"Requests","Unit":"Count"}]}]}}
}
