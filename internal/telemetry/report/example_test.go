package report_test

import (
	"fmt"
	"io"

	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
)

func Example() {
	r := report.New(report.Options{Source: telemetry.Options{Function: "auth-api"}})
	for range 2 {
		event, ok := r.Event(report.Failure{Err: fmt.Errorf("store: get: %w", io.ErrUnexpectedEOF), Route: "GET /me"})
		fmt.Println(event.Key, ok)
	}
	// Output:
	// event true
	//  false
}
