package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/token"
)

// jwks publishes the public keys. Clients may keep them as long as we do.
func (a *api) jwks(ctx context.Context, _ *rest.Request) (rest.Response, error) {
	keys, err := a.keys.All(ctx)
	if err != nil {
		return rest.Response{}, apperr.New(apperr.Unavailable, "", "").After(2 * time.Second).Because(err)
	}
	return rest.Response{Body: publicKeys{keys}, Headers: map[string]string{
		"Cache-Control": fmt.Sprintf("public, max-age=%d", int(token.Published.Seconds())),
	}}, nil
}

// health answers without touching anything else: it says that requests reach the function, no more.
func health(context.Context, *rest.Request) (rest.Response, error) {
	return rest.Response{Body: healthy{"ok"}}, nil
}
