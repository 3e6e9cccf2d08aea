package rest

import (
	"context"
	"time"

	"github.com/expenzez/aws-backend/internal/service"
)

// Count is one limit that a request counts against.
type Count struct {
	Class   service.Limit
	Route   string // empty: over all routes of the class
	Subject string // opaque: it tells nobody who it is
}

// Verdict is what a limiter says of a request. Headers tell the caller how much is left; public routes do not pass them
// on, since they would tell an attacker how far to go.
type Verdict struct {
	Allowed    bool
	RetryAfter time.Duration
	Headers    map[string]string
}

// Limiter counts a request against several limits at once. A refusal is a verdict; an error means that there is none,
// and that the class of one of the counts admits nobody then.
type Limiter interface {
	Count(ctx context.Context, counts []Count) (Verdict, error)
}
