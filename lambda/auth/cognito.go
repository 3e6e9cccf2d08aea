package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/singleflight"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/validate"
)

// Cognito is the calls of the user pool that the function makes. Those that people could make themselves (SignUp,
// ConfirmSignUp, ResendConfirmationCode) need no permission. cognitomem has one for tests.
type Cognito interface {
	SignUp(context.Context, *cognito.SignUpInput, ...func(*cognito.Options)) (*cognito.SignUpOutput, error)
	ConfirmSignUp(context.Context, *cognito.ConfirmSignUpInput, ...func(*cognito.Options)) (*cognito.ConfirmSignUpOutput, error)
	ResendConfirmationCode(context.Context, *cognito.ResendConfirmationCodeInput, ...func(*cognito.Options)) (*cognito.ResendConfirmationCodeOutput, error)
	AdminInitiateAuth(context.Context, *cognito.AdminInitiateAuthInput, ...func(*cognito.Options)) (*cognito.AdminInitiateAuthOutput, error)
	DescribeUserPoolClient(context.Context, *cognito.DescribeUserPoolClientInput, ...func(*cognito.Options)) (*cognito.DescribeUserPoolClientOutput, error)
}

var _ Cognito = (*cognito.Client)(nil)

// pool is the user pool through our client of it. The client's secret is asked for once and stays in memory: neither
// the environment nor a secret of ours holds it.
type pool struct {
	api      Cognito
	id       string
	clientID string
	flight   singleflight.Group
	mu       sync.RWMutex
	client   *clientSecret // nil until it is known
}

// clientSecret is the secret of the pool's client; empty for a client without one.
type clientSecret struct{ text string }

func newPool(api Cognito, id, clientID string) *pool {
	return &pool{api: api, id: id, clientID: clientID}
}

// secretHash proves, beside a user name, that the call is from our client (Amazon Cognito Developer Guide, "Computing
// secret hash values"). It is nil for a client without a secret.
func (p *pool) secretHash(ctx context.Context, username string) (*string, error) {
	p.mu.RLock()
	known := p.client
	p.mu.RUnlock()
	if known == nil {
		var err error
		if known, err = p.askSecret(ctx); err != nil {
			return nil, err
		}
	}
	if known.text == "" {
		return nil, nil
	}
	mac := hmac.New(sha256.New, []byte(known.text))
	mac.Write([]byte(username + p.clientID))
	return aws.String(base64.StdEncoding.EncodeToString(mac.Sum(nil))), nil
}

// askSecret asks once for all callers, for longer than the first of them may stay.
func (p *pool) askSecret(ctx context.Context) (*clientSecret, error) {
	call := p.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		out, err := p.api.DescribeUserPoolClient(ctx, &cognito.DescribeUserPoolClientInput{UserPoolId: &p.id, ClientId: &p.clientID})
		if err != nil {
			return nil, outage("DescribeUserPoolClient", err)
		}
		known := &clientSecret{aws.ToString(out.UserPoolClient.ClientSecret)}
		p.mu.Lock()
		p.client = known
		p.mu.Unlock()
		return known, nil
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("auth: user pool client: %w", ctx.Err())
	case got := <-call:
		known, _ := got.Val.(*clientSecret)
		return known, got.Err
	}
}

// signUp registers a user name with its password. A name that exists is no error: the caller must not learn it. A
// confirmation that could not be mailed is none either; it can be asked for again.
func (p *pool) signUp(ctx context.Context, email, password string) error {
	hash, err := p.secretHash(ctx, email)
	if err != nil {
		return err
	}
	_, err = p.api.SignUp(ctx, &cognito.SignUpInput{ClientId: &p.clientID, SecretHash: hash, Username: &email, Password: &password,
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: &email}}})
	var taken *types.UsernameExistsException
	var undelivered *types.CodeDeliveryFailureException
	var weak *types.InvalidPasswordException
	var invalid *types.InvalidParameterException
	switch {
	case err == nil, errors.As(err, &taken), errors.As(err, &undelivered):
		return nil
	case errors.As(err, &invalid) && strings.Contains(invalid.ErrorMessage(), "email"):
		return validate.Refuse(apperr.Field{Pointer: "/email", Code: validate.CodeEmail}).Because(err)
	case errors.As(err, &weak):
		return validate.Refuse(apperr.Field{Pointer: "/password", Code: "password_policy", Detail: policyText(weak.ErrorMessage())})
	}
	return outage("SignUp", err)
}

// policyText is what Cognito says of a password that is too weak: "Password did not conform with policy: Password must
// have uppercase characters". It speaks of the rule, not of the password.
func policyText(message string) string {
	if _, rule, ok := strings.Cut(message, ": "); ok {
		return rule + "."
	}
	return "Choose a stronger password."
}

// errCode is the one answer to a code that does not confirm, whether it is wrong, too old, of no account or of one that
// is confirmed already.
var errCode = validate.Refuse(apperr.Field{Pointer: "/code", Code: "invalid_code", Detail: "The code is wrong or has expired. Ask for a new one."})

func (p *pool) confirm(ctx context.Context, email, code string) error {
	hash, err := p.secretHash(ctx, email)
	if err != nil {
		return err
	}
	_, err = p.api.ConfirmSignUp(ctx, &cognito.ConfirmSignUpInput{ClientId: &p.clientID, SecretHash: hash, Username: &email, ConfirmationCode: &code})
	switch {
	case err == nil:
		return nil
	case isAny(err, "CodeMismatchException", "ExpiredCodeException", "UserNotFoundException", "AliasExistsException"), refusedUser(err):
		return errCode.Because(err)
	}
	return outage("ConfirmSignUp", err)
}

// resend mails a new code. No account and one that is confirmed already are no errors.
func (p *pool) resend(ctx context.Context, email string) error {
	hash, err := p.secretHash(ctx, email)
	if err != nil {
		return err
	}
	_, err = p.api.ResendConfirmationCode(ctx, &cognito.ResendConfirmationCodeInput{ClientId: &p.clientID, SecretHash: hash, Username: &email})
	if err == nil || isAny(err, "UserNotFoundException", "InvalidParameterException", "CodeDeliveryFailureException") || refusedUser(err) {
		return nil
	}
	return outage("ResendConfirmationCode", err)
}

// What a sign-in that reached the user pool may fail with. errUnconfirmed and errChallenge are told only to whoever has
// the right password: the pool looks at the password first.
var (
	errCredentials = apperr.New(apperr.Unauthenticated, "invalid_credentials", "The mail address or the password is wrong.")
	errUnconfirmed = apperr.New(apperr.Forbidden, "not_confirmed", "The mail address is not confirmed yet. Send the code from the mail, or ask for a new one.")
	errChallenge   = apperr.New(apperr.Forbidden, "challenge_required", "This account needs a further step to sign in that this app does not know.")
	errReset       = apperr.New(apperr.Forbidden, "password_reset_required", "The password must be reset before signing in.")
)

// signIn checks a password and returns the user's subject.
func (p *pool) signIn(ctx context.Context, email, password string) (subject string, err error) {
	hash, err := p.secretHash(ctx, email)
	if err != nil {
		return "", err
	}
	params := map[string]string{"USERNAME": email, "PASSWORD": password}
	if hash != nil {
		params["SECRET_HASH"] = *hash
	}
	out, err := p.api.AdminInitiateAuth(ctx, &cognito.AdminInitiateAuthInput{UserPoolId: &p.id, ClientId: &p.clientID,
		AuthFlow: types.AuthFlowTypeAdminUserPasswordAuth, AuthParameters: params})
	switch {
	case err == nil:
	case isAny(err, "UserNotFoundException"), refusedUser(err):
		return "", errCredentials.Because(err)
	case isAny(err, "UserNotConfirmedException"):
		return "", errUnconfirmed.Because(err)
	case isAny(err, "PasswordResetRequiredException"):
		return "", errReset.Because(err)
	default:
		return "", outage("AdminInitiateAuth", err)
	}
	if out.AuthenticationResult == nil || out.AuthenticationResult.IdToken == nil {
		return "", errChallenge.Because(fmt.Errorf("challenge %q", out.ChallengeName))
	}
	return subjectOf(*out.AuthenticationResult.IdToken)
}

// subjectOf reads the subject of an ID token. Its signature is not looked at: the token came from the pool itself.
func subjectOf(idToken string) (string, error) {
	var claims struct {
		Subject string `json:"sub"`
		Use     string `json:"token_use"`
	}
	parts := strings.Split(idToken, ".")
	if len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(payload, &claims) == nil &&
			claims.Subject != "" && claims.Use == "id" {
			return claims.Subject, nil
		}
	}
	return "", errors.New("auth: the user pool's ID token is not one")
}

// refusedUser tells whether the pool refused the user, and not us: both are NotAuthorizedException, and a client that
// is set up wrongly must not look like a wrong password.
func refusedUser(err error) bool {
	var refused *types.NotAuthorizedException
	if !errors.As(err, &refused) {
		return false
	}
	text := strings.ToLower(refused.ErrorMessage())
	return !strings.Contains(text, "secret hash") && !strings.Contains(text, "client")
}

// isAny tells whether err is one of these exceptions of the user pool.
func isAny(err error, codes ...string) bool {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.ErrorCode() == code {
			return true
		}
	}
	return false
}

// outage is the error of a call that failed for a reason that is not the caller's. What may be better later is
// Unavailable; what is wrong with us is internal. Limits of the pool on one account are the caller's after all.
func outage(call string, err error) error {
	cause := fmt.Errorf("auth: %s: %w", call, err)
	var e smithy.APIError
	switch {
	case isAny(err, "LimitExceededException", "TooManyFailedAttemptsException"):
		return apperr.New(apperr.Limited, "", "").After(5 * time.Minute).Because(cause)
	case !errors.As(err, &e), e.ErrorFault() == smithy.FaultServer, isAny(err, "TooManyRequestsException", "InternalErrorException"):
		return apperr.New(apperr.Unavailable, "", "").After(2 * time.Second).Because(cause)
	}
	return cause
}
