// Package authorizer is the API's token authorizer: it tells API Gateway who a request is from, by the signature of its
// access token. With the public keys in memory it calls nothing.
package authorizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
	"github.com/expenzez/aws-backend/internal/token"
)

// errUnauthorized has the text for which API Gateway answers 401; any other error makes it answer 500
// (API Gateway Developer Guide, "API Gateway Lambda authorizer function for TOKEN").
var errUnauthorized = errors.New("Unauthorized")

// request is API Gateway's event for a TOKEN authorizer.
type request struct {
	Token     string `json:"authorizationToken"`
	MethodARN string `json:"methodArn"`
}

// response is what API Gateway expects: a policy, and a context that it hands to the function. Its values are strings:
// they arrive as strings whatever they are.
type response struct {
	PrincipalID string            `json:"principalId"`
	Policy      policy            `json:"policyDocument"`
	Context     map[string]string `json:"context"`
}

type policy struct {
	Version   string      `json:"Version"`
	Statement []statement `json:"Statement"`
}

type statement struct {
	Effect   string   `json:"Effect"`
	Action   []string `json:"Action"`
	Resource []string `json:"Resource"`
}

type handler struct {
	verifier *token.Verifier
	log      *slog.Logger
	now      func() time.Time
	report   *report.Reporter
	warm     atomic.Bool
}

// New is the authorizer's handler. It allows every method of the stage to whoever has a valid token: API Gateway caches
// the answer for the token, not for the method, and what a user may do is the functions' to decide. The context holds
// sub, sid, iat and exp; functions check exp again, since a cached answer outlives it. The handler is safe for concurrent
// use.
func New(verifier *token.Verifier, log *slog.Logger, now func() time.Time) lambda.Handler {
	return &handler{verifier: verifier, log: log, now: now, report: report.New(report.Options{Source: telemetry.OptionsOf(log), Now: now})}
}

// Invoke answers one event. A token that is missing, malformed, expired or forged is the error Unauthorized; keys that
// cannot be read, an event that is not API Gateway's and a panic are other errors. Each event leaves one log line.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start, cold := h.now(), h.warm.CompareAndSwap(false, true)
	ctx = telemetry.Begin(ctx, h.log)
	out, stack, err := h.guarded(ctx, payload)
	h.end(ctx, err, stack, h.now().Sub(start), cold)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return nil, errUnauthorized
	case err != nil:
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	return out, nil
}

// guarded is answer, where a panic is an error: one event must not end the process.
func (h *handler) guarded(ctx context.Context, payload []byte) (out []byte, stack report.Stack, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, stack, err = nil, report.Caught(), fmt.Errorf("panic: %v", p)
		}
	}()
	out, err = h.answer(ctx, payload)
	return out, nil, err
}

func (h *handler) answer(ctx context.Context, payload []byte) ([]byte, error) {
	var r request
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, errors.New("the event is not JSON")
	}
	resource, err := everyMethod(r.MethodARN)
	if err != nil {
		return nil, err
	}
	claims, err := h.verify(ctx, r.Token)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response{
		PrincipalID: claims.Subject,
		Policy:      policy{"2012-10-17", []statement{{"Allow", []string{"execute-api:Invoke"}, []string{resource}}}},
		Context: map[string]string{"sub": claims.Subject, "sid": claims.Session,
			"iat": strconv.FormatInt(claims.IssuedAt.Unix(), 10), "exp": strconv.FormatInt(claims.Expires.Unix(), 10)},
	})
}

// end writes the event's line, with its metrics, and with an error event when it is our fault. Its status is 200, or what
// API Gateway answers by itself. It holds neither token nor path.
func (h *handler) end(ctx context.Context, err error, stack report.Stack, took time.Duration, cold bool) {
	level, status := slog.LevelInfo, http.StatusOK
	switch {
	case errors.Is(err, token.ErrInvalid):
		status = http.StatusUnauthorized
	case err != nil:
		level, status = slog.LevelError, http.StatusInternalServerError
	}
	attrs := telemetry.Answered(ctx, status, took, cold)
	if err != nil {
		attrs = append(attrs, slog.Any(telemetry.FieldError, err))
	}
	if level == slog.LevelError {
		if event, ok := h.report.Event(report.Failure{Err: err, Panic: len(stack) > 0, Stack: stack}); ok {
			attrs = append(attrs, event)
		} else {
			telemetry.Count(ctx, telemetry.EventsDropped, 1)
		}
	}
	if len(stack) > 0 {
		attrs = append(attrs, slog.String(telemetry.FieldStack, stack.String()))
	}
	telemetry.End(ctx, level, "request", attrs...)
}

// verify takes the header's value: the scheme in any case (RFC 9110 §11.1), one blank, the token.
func (h *handler) verify(ctx context.Context, header string) (token.Claims, error) {
	scheme, raw, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return token.Claims{}, fmt.Errorf("%w: no bearer token", token.ErrInvalid)
	}
	return h.verifier.Verify(ctx, raw)
}

// everyMethod turns arn:…:api/stage/METHOD/path into arn:…:api/stage/*.
func everyMethod(methodARN string) (string, error) {
	parts := strings.SplitN(methodARN, "/", 3)
	if len(parts) < 3 || !strings.HasPrefix(parts[0], "arn:") || strings.Count(parts[0], ":") != 5 || parts[1] == "" || strings.Contains(parts[0]+parts[1], "*") {
		return "", errors.New("methodArn of the event is not that of a method of an API")
	}
	return parts[0] + "/" + parts[1] + "/*", nil
}
