// Package authorizer is the API's token authorizer: it tells API Gateway who a request is from, by the signature of its
// access token. With the public keys in memory it calls nothing.
package authorizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/expenzez/aws-backend/internal/telemetry"
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
}

// New is the authorizer's handler. It allows every method of the stage to whoever has a valid token: API Gateway caches
// the answer for the token, not for the method, and what a user may do is the functions' to decide. The context holds
// sub, sid, iat and exp; functions check exp again, since a cached answer outlives it.
func New(verifier *token.Verifier, log *slog.Logger) lambda.Handler {
	return &handler{verifier, log}
}

// Invoke answers one event. A token that is missing, malformed, expired or forged is the error Unauthorized; keys that
// cannot be read and an event that is not API Gateway's are other errors.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx = telemetry.Begin(ctx, h.log)
	var r request
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, h.fail(ctx, errors.New("the event is not JSON"))
	}
	resource, err := everyMethod(r.MethodARN)
	if err != nil {
		return nil, h.fail(ctx, err)
	}
	claims, err := h.verify(ctx, r.Token)
	switch {
	case errors.Is(err, token.ErrInvalid):
		telemetry.From(ctx).InfoContext(ctx, "refused", "error", err)
		return nil, errUnauthorized
	case err != nil:
		return nil, h.fail(ctx, err)
	}
	return json.Marshal(response{
		PrincipalID: claims.Subject,
		Policy:      policy{"2012-10-17", []statement{{"Allow", []string{"execute-api:Invoke"}, []string{resource}}}},
		Context: map[string]string{"sub": claims.Subject, "sid": claims.Session,
			"iat": strconv.FormatInt(claims.IssuedAt.Unix(), 10), "exp": strconv.FormatInt(claims.Expires.Unix(), 10)},
	})
}

func (h *handler) fail(ctx context.Context, err error) error {
	telemetry.From(ctx).ErrorContext(ctx, "failed", "error", err)
	return fmt.Errorf("authorizer: %w", err)
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
