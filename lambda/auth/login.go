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
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
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
// made first: a session whose tokens cannot be signed is not begun. When another login wrote the user meanwhile, it
// begins again with what that one wrote.
func (a *api) start(ctx context.Context, user, email, index string, now time.Time) (rest.Response, error) {
	granted, begin := a.sessions.Begin(user, now)
	response, err := a.pair(ctx, granted)
	if err != nil {
		return rest.Response{}, err
	}
	out, err := a.t.Users.GetItem(ctx, &dynamodb.GetItemInput{Key: userKey(user)})
	if err != nil {
		return rest.Response{}, unavailable(err)
	}
	stored := out.Item
	for range 3 {
		update, err := a.seen(ctx, user, email, index, stored, now)
		if err != nil {
			return rest.Response{}, err
		}
		writes := []store.Write{a.t.Users.UpdateWrite(update), begin}
		err = store.Transact(ctx, a.tx, "", append(writes, a.t.note(user, granted.Session, "login", now)...)...)
		var failed *store.CancelledError
		if err == nil {
			return response, nil
		}
		if !errors.As(err, &failed) {
			return rest.Response{}, unavailable(err)
		}
		old, refused := failed.Refused(0)
		switch {
		case !refused:
			return rest.Response{}, unavailable(err)
		case old["status"] != nil && store.Read(old).OptS("status") != userActive:
			return rest.Response{}, errDisabled
		}
		stored = old
	}
	return rest.Response{}, unavailable(errors.New("auth: a user is written by too many at once"))
}

func userKey(user string) store.Item { return store.Item{"pk": store.S("USER#" + user)} }

// seen is the write that notes a login in a user's item, or makes the item. The address is sealed under the user's own
// key, which is made with the item and lies in it: without the key (dek) the address is shredded. The write is refused
// unless the item still holds the key that stored does.
func (a *api) seen(ctx context.Context, user, email, index string, stored store.Item, now time.Time) (types.Update, error) {
	key, wrapped, err := a.keyOf(ctx, user, stored)
	if err != nil {
		return types.Update{}, err
	}
	sealed, err := key.Seal("users", user, "email", []byte(email))
	if err != nil {
		return types.Update{}, fmt.Errorf("auth: seal the address: %w", err)
	}
	unchanged := "dek = :dek"
	if stored["dek"] == nil {
		unchanged = "attribute_not_exists(dek)"
	}
	return types.Update{
		Key: userKey(user),
		UpdateExpression: aws.String("SET #status = if_not_exists(#status, :active), dek = :dek, email = :email, emailIndex = :index, " +
			"createdAt = if_not_exists(createdAt, :now), lastLoginAt = :now"),
		ConditionExpression:      aws.String("(attribute_not_exists(#status) OR #status = :active) AND " + unchanged),
		ExpressionAttributeNames: map[string]string{"#status": "status"},
		ExpressionAttributeValues: store.Item{":active": store.S(userActive), ":dek": store.B(wrapped), ":email": store.B(sealed),
			":index": store.S(index), ":now": store.N(now.Unix())},
	}, nil
}

// keyOf is the key that a user's item holds, or a new one for an item that holds none, and its wrapped form. One that
// does not open is not replaced: what was sealed under it would be lost.
func (a *api) keyOf(ctx context.Context, user string, stored store.Item) (key *fieldcrypt.UserKey, wrapped []byte, err error) {
	if stored["dek"] == nil {
		key, wrapped, err = a.cipher.NewUserKey(ctx, user)
	} else {
		wrapped = store.Read(stored).OptB("dek")
		key, err = a.cipher.OpenUserKey(ctx, user, wrapped)
	}
	switch {
	case errors.Is(err, fieldcrypt.ErrSealed):
		return nil, nil, fmt.Errorf("auth: the user's key: %w", err)
	case err != nil:
		return nil, nil, unavailable(fmt.Errorf("auth: the user's key: %w", err))
	}
	return key, wrapped, nil
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
		telemetry.From(ctx).WarnContext(ctx, "failed attempts were not forgotten", telemetry.FieldError, err)
	}
}

// takeBackAttempt uncounts an attempt at which the password was not tried: an outage locks nobody out.
func (a *api) takeBackAttempt(ctx context.Context, index string) {
	_, err := a.t.LoginAttempts.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		Key: attemptsKey(index), UpdateExpression: aws.String("ADD failures :less"), ConditionExpression: aws.String("failures > :none"),
		ExpressionAttributeValues: store.Item{":less": store.N(-1), ":none": store.N(0)},
	})
	if err != nil && !errors.Is(err, store.ErrConditionFailed) {
		telemetry.From(ctx).WarnContext(ctx, "an attempt was not taken back", telemetry.FieldError, err)
	}
}
