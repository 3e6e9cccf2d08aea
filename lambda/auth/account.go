package auth

import (
	"context"

	"github.com/expenzez/aws-backend/internal/rest"
)

// What happens next, for every account alike.
const (
	statusMailed    = "confirmation_required"
	statusConfirmed = "confirmed"
)

// register creates an account that the mailed code must confirm.
func (a *api) register(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in registration
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	email, err := canonical(in.Email)
	if err != nil {
		return rest.Response{}, err
	}
	if err := a.pool.signUp(ctx, email, in.Password); err != nil {
		return rest.Response{}, err
	}
	return rest.Response{Body: accepted{statusMailed}}, nil
}

// confirm proves that the mail reaches the person.
func (a *api) confirm(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in confirmation
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	email, err := canonical(in.Email)
	if err != nil {
		return rest.Response{}, err
	}
	if err := a.pool.confirm(ctx, email, in.Code); err != nil {
		return rest.Response{}, err
	}
	return rest.Response{Body: accepted{statusConfirmed}}, nil
}

// resend mails a new code.
func (a *api) resend(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in resending
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	email, err := canonical(in.Email)
	if err != nil {
		return rest.Response{}, err
	}
	if err := a.pool.resend(ctx, email); err != nil {
		return rest.Response{}, err
	}
	return rest.Response{Body: accepted{statusMailed}}, nil
}
