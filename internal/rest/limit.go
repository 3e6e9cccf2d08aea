package rest

import (
	"context"
	"time"

	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
)

// Count is one limit that a request counts against.
type Count struct {
	Class   service.Limit
	Route   string // empty: over all routes of the class
	Subject string // opaque: it tells nobody who it is
	Cost    int    // how many requests it counts for; 0: 1
	// Token is the access token of a request that is counted for its user: whoever counts it may learn on the way whether
	// the token was revoked. The zero value asks nothing. With it, Subject is revoke.Subject of the token's user.
	Token revoke.Token
}

// TokenState is what a limiter learned of the token of a request.
type TokenState uint8

// What a limiter may learn. The zero value is nothing: whether the token was revoked must be asked elsewhere.
const (
	TokenUnknown TokenState = iota
	TokenLive
	TokenEnded
)

// Verdict is what a limiter says of a request. Headers tell the caller how much is left; public routes do not pass them
// on, since they would tell an attacker how far to go. A request whose token has ended is not allowed.
type Verdict struct {
	Allowed    bool
	RetryAfter time.Duration
	Headers    map[string]string
	Token      TokenState
}

// Limiter counts a request against several limits at once. A refusal is a verdict; an error means that there is none,
// and that the class of one of the counts admits nobody then. The token's state and RetryAfter may be known beside it.
type Limiter interface {
	Count(ctx context.Context, counts []Count) (Verdict, error)
	// Refused says what is known without a call: a verdict that refuses, or nothing.
	Refused(counts []Count) (v Verdict, known bool)
	// Live takes note that at a time the table of revoked tokens did not refuse a token, so that it need not be asked again.
	Live(t revoke.Token, at time.Time)
}
