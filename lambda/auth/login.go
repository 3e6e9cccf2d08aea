package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// The lockout: after maxFailures wrong passwords for an account within lockWindow of the first, no further one is
// tried until the window ends.
const (
	maxFailures = 10
	lockWindow  = 15 * time.Minute
)

// userActive is the status of an account that may be used; other functions make their writes depend on it.
const userActive = "active"

var errDisabled = apperr.New(apperr.Forbidden, "account_disabled", "This account cannot be used.")

// login starts a session. The attempt is counted before the password is tried, so that attempts at the same time
// cannot outrun the lockout, and taken back when it was not a wrong password.
func (a *api) login(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in credentials
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	email, err := canonical(in.Email)
	if err != nil {
		return rest.Response{}, err
	}
	index, err := a.cipher.BlindIndex(ctx, "email", email)
	if err != nil {
		return rest.Response{}, unavailable(fmt.Errorf("auth: index the address: %w", err))
	}
	if err := a.countAttempt(ctx, index, r.Now); err != nil {
		return rest.Response{}, err
	}
	user, err := a.pool.signIn(ctx, email, in.Password)
	switch {
	case err == nil, apperr.From(err).Kind == apperr.Forbidden:
		a.forgetAttempts(ctx, index)
	case apperr.From(err).Kind != apperr.Unauthenticated:
		a.takeBackAttempt(ctx, index)
	}
	if err != nil {
		return rest.Response{}, err
	}
	return a.start(ctx, user, email, index, r.Now)
}

// start writes user, session and event, all or nothing, and answers with the first pair of tokens. The access token is
// made first: a session whose tokens cannot be signed is not begun.
func (a *api) start(ctx context.Context, user, email, index string, now time.Time) (rest.Response, error) {
	session, secret := randomText(16), newRefreshSecret()
	response, err := a.pair(ctx, user, session, secret)
	if err != nil {
		return rest.Response{}, err
	}
	sealed, err := a.cipher.Seal(ctx, "users", user, "email", []byte(email))
	if err != nil {
		return rest.Response{}, unavailable(fmt.Errorf("auth: seal the address: %w", err))
	}
	err = store.Transact(ctx, a.tx, "",
		a.t.Users.UpdateWrite(types.Update{
			Key: store.Item{"pk": store.S("USER#" + user)},
			UpdateExpression: aws.String("SET #status = if_not_exists(#status, :active), email = :email, emailIndex = :index, " +
				"createdAt = if_not_exists(createdAt, :now), lastLoginAt = :now"),
			ConditionExpression:      aws.String("attribute_not_exists(#status) OR #status = :active"),
			ExpressionAttributeNames: map[string]string{"#status": "status"},
			ExpressionAttributeValues: store.Item{":active": store.S(userActive), ":email": store.B(sealed), ":index": store.S(index),
				":now": store.N(now.Unix())},
		}),
		a.t.Sessions.PutWrite(types.Put{Item: newSession(session, user, secret, now), ConditionExpression: aws.String("attribute_not_exists(pk)")}),
		a.t.SecurityEvents.PutWrite(types.Put{Item: securityEvent(user, session, "login", now)}),
	)
	var failed *store.CancelledError
	switch {
	case err == nil:
		return response, nil
	case errors.As(err, &failed):
		if _, refused := failed.Refused(0); refused {
			return rest.Response{}, errDisabled
		}
	}
	return rest.Response{}, unavailable(err)
}

func attemptsKey(index string) store.Item { return store.Item{"pk": store.S("EMAIL#" + index)} }

// countAttempt counts one attempt, or refuses it when the account is locked. A window that ended is begun anew; losing
// the race for that means that another attempt began it, and the attempt is counted there.
func (a *api) countAttempt(ctx context.Context, index string, now time.Time) error {
	for range 2 {
		old, err := a.addAttempt(ctx, index, now)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConditionFailed) {
			return unavailable(err)
		}
		if ends := store.Read(old).OptN("ends"); ends > now.Unix() {
			return apperr.New(apperr.Limited, "locked", "Too many wrong passwords. Try again later.").After(time.Unix(ends, 0).Sub(now))
		}
		if err = a.beginAttempts(ctx, index, now); err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConditionFailed) {
			return unavailable(err)
		}
	}
	return unavailable(errors.New("auth: the attempts of an account are counted by too many at once"))
}

// addAttempt counts within the present window. The item that refused comes with the error.
func (a *api) addAttempt(ctx context.Context, index string, now time.Time) (store.Item, error) {
	_, err := a.t.LoginAttempts.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key: attemptsKey(index), UpdateExpression: aws.String("ADD failures :one"),
		ConditionExpression:       aws.String("ends > :now AND failures < :most"),
		ExpressionAttributeValues: store.Item{":one": store.N(1), ":now": store.N(now.Unix()), ":most": store.N(maxFailures)},
	})
	var refused *store.ConditionFailedError
	if errors.As(err, &refused) {
		return refused.Old, err
	}
	return nil, err
}

// beginAttempts begins a window with its first attempt, unless one is running.
func (a *api) beginAttempts(ctx context.Context, index string, now time.Time) error {
	_, err := a.t.LoginAttempts.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key: attemptsKey(index), UpdateExpression: aws.String("SET failures = :one, ends = :ends, #ttl = :ends"),
		ConditionExpression:      aws.String("attribute_not_exists(ends) OR ends <= :now"),
		ExpressionAttributeNames: map[string]string{"#ttl": "ttl"},
		ExpressionAttributeValues: store.Item{":one": store.N(1), ":now": store.N(now.Unix()),
			":ends": store.N(now.Add(lockWindow).Unix())},
	})
	return err
}

// forgetAttempts forgets an account's failures once its password was right. A failure to forget makes the lockout
// stricter, no more.
func (a *api) forgetAttempts(ctx context.Context, index string) {
	if _, err := a.t.LoginAttempts.DeleteItem(ctx, &dynamodb.DeleteItemInput{Key: attemptsKey(index)}); err != nil {
		telemetry.From(ctx).WarnContext(ctx, "failed attempts were not forgotten", "error", err)
	}
}

// takeBackAttempt uncounts an attempt at which the password was not tried: an outage locks nobody out.
func (a *api) takeBackAttempt(ctx context.Context, index string) {
	_, err := a.t.LoginAttempts.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key: attemptsKey(index), UpdateExpression: aws.String("ADD failures :less"), ConditionExpression: aws.String("failures > :none"),
		ExpressionAttributeValues: store.Item{":less": store.N(-1), ":none": store.N(0)},
	})
	if err != nil && !errors.Is(err, store.ErrConditionFailed) {
		telemetry.From(ctx).WarnContext(ctx, "an attempt was not taken back", "error", err)
	}
}
