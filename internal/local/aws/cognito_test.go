package aws_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
)

const (
	password    = "Correct-Horse-1"
	newPassword = "Battery-Staple-2"
)

// pool is a user pool with one client, as a test uses them.
type pool struct {
	*local
	t      *testing.T
	c      *cip.Client
	id     *string
	client *string
	secret string
}

// newPool makes a pool like the backend's: names are addresses, confirmed by mail; the client has a secret and hides who exists.
func newPool(t *testing.T, change ...func(*cip.CreateUserPoolInput, *cip.CreateUserPoolClientInput)) *pool {
	t.Helper()
	p := &pool{local: start(t), t: t}
	p.c = p.cognito(t)
	in := &cip.CreateUserPoolInput{
		PoolName:               sdk.String(unique("pool")),
		UsernameAttributes:     []types.UsernameAttributeType{types.UsernameAttributeTypeEmail},
		AutoVerifiedAttributes: []types.VerifiedAttributeType{types.VerifiedAttributeTypeEmail},
		UsernameConfiguration:  &types.UsernameConfigurationType{CaseSensitive: sdk.Bool(false)},
		Policies: &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{
			MinimumLength: sdk.Int32(12), RequireLowercase: true, RequireUppercase: true, RequireNumbers: true, RequireSymbols: true,
		}},
	}
	client := &cip.CreateUserPoolClientInput{
		ClientName: sdk.String("client"), GenerateSecret: true, PreventUserExistenceErrors: types.PreventUserExistenceErrorTypesEnabled,
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{
			types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth,
		},
	}
	for _, c := range change {
		c(in, client)
	}
	made, err := p.c.CreateUserPool(t.Context(), in)
	require.NoError(t, err)
	p.id, client.UserPoolId = made.UserPool.Id, made.UserPool.Id
	out, err := p.c.CreateUserPoolClient(t.Context(), client)
	require.NoError(t, err)
	p.client, p.secret = out.UserPoolClient.ClientId, sdk.ToString(out.UserPoolClient.ClientSecret)
	return p
}

func legacy(_ *cip.CreateUserPoolInput, c *cip.CreateUserPoolClientInput) {
	c.PreventUserExistenceErrors = types.PreventUserExistenceErrorTypesLegacy
}

func (p *pool) hash(name string) *string {
	if p.secret == "" {
		return nil
	}
	h := hmac.New(sha256.New, []byte(p.secret))
	h.Write([]byte(name + *p.client))
	return sdk.String(base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

func (p *pool) signUp(name, password string) (*cip.SignUpOutput, error) {
	return p.c.SignUp(p.t.Context(), &cip.SignUpInput{ClientId: p.client, Username: &name, Password: &password, SecretHash: p.hash(name)})
}

func (p *pool) confirm(name, code string) error {
	_, err := p.c.ConfirmSignUp(p.t.Context(), &cip.ConfirmSignUpInput{ClientId: p.client, Username: &name, ConfirmationCode: &code, SecretHash: p.hash(name)})
	return err
}

func (p *pool) resend(name string) (*cip.ResendConfirmationCodeOutput, error) {
	return p.c.ResendConfirmationCode(p.t.Context(), &cip.ResendConfirmationCodeInput{ClientId: p.client, Username: &name, SecretHash: p.hash(name)})
}

func (p *pool) forgot(name string) (*cip.ForgotPasswordOutput, error) {
	return p.c.ForgotPassword(p.t.Context(), &cip.ForgotPasswordInput{ClientId: p.client, Username: &name, SecretHash: p.hash(name)})
}

func (p *pool) reset(name, code, password string) error {
	_, err := p.c.ConfirmForgotPassword(p.t.Context(), &cip.ConfirmForgotPasswordInput{
		ClientId: p.client, Username: &name, ConfirmationCode: &code, Password: &password, SecretHash: p.hash(name),
	})
	return err
}

func (p *pool) parameters(name, password string) map[string]string {
	m := map[string]string{"USERNAME": name, "PASSWORD": password}
	if h := p.hash(name); h != nil {
		m["SECRET_HASH"] = *h
	}
	return m
}

func (p *pool) signIn(name, password string) (*cip.InitiateAuthOutput, error) {
	return p.c.InitiateAuth(p.t.Context(), &cip.InitiateAuthInput{
		ClientId: p.client, AuthFlow: types.AuthFlowTypeUserPasswordAuth, AuthParameters: p.parameters(name, password),
	})
}

func (p *pool) adminSignIn(name, password string) (*cip.AdminInitiateAuthOutput, error) {
	return p.c.AdminInitiateAuth(p.t.Context(), &cip.AdminInitiateAuthInput{
		UserPoolId: p.id, ClientId: p.client, AuthFlow: types.AuthFlowTypeAdminUserPasswordAuth, AuthParameters: p.parameters(name, password),
	})
}

// code is the code of the last mail, which must have gone to the address.
func (p *pool) code(to string) string {
	mails := p.Mails()
	require.NotEmpty(p.t, mails)
	last := mails[len(mails)-1]
	require.Equal(p.t, to, last.To)
	require.Regexp(p.t, `^[0-9]{6}$`, last.Code)
	require.Contains(p.t, last.Body, last.Code)
	require.Equal(p.t, p.Now(), last.At)
	return last.Code
}

// wrong is a code other than the given one.
func wrong(code string) string {
	if code[0] == '0' {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}

// member signs a user up and confirms.
func (p *pool) member(name string) {
	p.t.Helper()
	_, err := p.signUp(name, password)
	require.NoError(p.t, err)
	require.NoError(p.t, p.confirm(name, p.code(name)))
}

func (p *pool) get(name string) *cip.AdminGetUserOutput {
	p.t.Helper()
	out, err := p.c.AdminGetUser(p.t.Context(), &cip.AdminGetUserInput{UserPoolId: p.id, Username: &name})
	require.NoError(p.t, err)
	return out
}

func TestSignUpIsConfirmedByTheMailedCode(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	out, err := p.signUp(ann, password)
	require.NoError(t, err)
	assert.False(t, out.UserConfirmed)
	assert.Equal(t, "a***@e***", *out.CodeDeliveryDetails.Destination)
	code := p.code(ann)
	_, err = p.signIn(ann, password)
	requireCode(t, err, "UserNotConfirmedException", "User is not confirmed.")
	_, err = p.adminSignIn(ann, password)
	requireCode(t, err, "UserNotConfirmedException", "User is not confirmed.")
	_, err = p.signIn(ann, newPassword)
	requireCode(t, err, "NotAuthorizedException", "Incorrect username or password.")
	requireCode(t, p.confirm(ann, wrong(code)), "CodeMismatchException", "Invalid verification code")
	requireCode(t, p.confirm(ann, "moto-confirmation-code:1"), "CodeMismatchException", "")
	require.NoError(t, p.confirm(ann, code))
	assert.Contains(t, p.get(ann).UserAttributes, types.AttributeType{Name: sdk.String("email_verified"), Value: sdk.String("true")})
	requireCode(t, p.confirm(ann, code), "NotAuthorizedException", "Current status is CONFIRMED")
	signed, err := p.signIn(ann, password)
	require.NoError(t, err)
	assert.NotEmpty(t, signed.AuthenticationResult.AccessToken)
	_, err = p.signUp(ann, password)
	requireCode(t, err, "UsernameExistsException", "User already exists")
}

func TestSignUpCodeExpires(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	_, err := p.signUp(ann, password)
	require.NoError(t, err)
	code := p.code(ann)
	p.advance(24*time.Hour - time.Second)
	requireCode(t, p.confirm(ann, wrong(code)), "CodeMismatchException", "")
	p.advance(time.Second)
	requireCode(t, p.confirm(ann, code), "ExpiredCodeException", "request a code again")
	_, err = p.resend(ann)
	require.NoError(t, err)
	require.NoError(t, p.confirm(ann, p.code(ann)))
}

func TestCodeGuessingEnds(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	_, err := p.signUp(ann, password)
	require.NoError(t, err)
	code := p.code(ann)
	for range 5 {
		requireCode(t, p.confirm(ann, wrong(code)), "CodeMismatchException", "")
	}
	requireCode(t, p.confirm(ann, code), "LimitExceededException", "Attempt limit exceeded")
	_, err = p.resend(ann)
	require.NoError(t, err)
	code = p.code(ann)
	requireCode(t, p.confirm(ann, code), "LimitExceededException", "Attempt limit exceeded")
	p.advance(time.Hour)
	require.NoError(t, p.confirm(ann, code), "an hour later")
}

func TestResend(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	_, err := p.signUp(ann, password)
	require.NoError(t, err)
	first := p.code(ann)
	out, err := p.resend(ann)
	require.NoError(t, err)
	assert.Equal(t, "a***@e***", *out.CodeDeliveryDetails.Destination)
	second := p.code(ann)
	if first != second { // one in a million
		requireCode(t, p.confirm(ann, first), "CodeMismatchException", "")
	}
	require.NoError(t, p.confirm(ann, second))
	_, err = p.resend(ann)
	requireCode(t, err, "InvalidParameterException", "User is already confirmed.")
	for range 18 {
		_, err = p.resend(ann)
		requireCode(t, err, "InvalidParameterException", "")
	}
	_, err = p.resend(ann)
	requireCode(t, err, "LimitExceededException", "Attempt limit exceeded")
}

func TestPoolWithoutVerificationMailsNothing(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(in *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) { in.AutoVerifiedAttributes = nil })
	out, err := p.signUp("ann@example.org", password)
	require.NoError(t, err)
	assert.Nil(t, out.CodeDeliveryDetails)
	assert.Empty(t, p.Mails())
	_, err = p.resend("ann@example.org")
	requireCode(t, err, "InvalidParameterException", "Auto verification not turned on")
	requireCode(t, p.confirm("ann@example.org", "123456"), "ExpiredCodeException", "")
}

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	requireCode(t, p.reset(ann, "123456", newPassword), "ExpiredCodeException", "request a code again")
	out, err := p.forgot(ann)
	require.NoError(t, err)
	assert.Equal(t, "a***@e***", *out.CodeDeliveryDetails.Destination)
	code := p.code(ann)
	requireCode(t, p.reset(ann, wrong(code), newPassword), "CodeMismatchException", "")
	requireCode(t, p.reset(ann, code, "short"), "InvalidPasswordException", "not long enough")
	require.NoError(t, p.reset(ann, code, newPassword), "the code outlives a password that is refused")
	requireCode(t, p.reset(ann, code, password), "ExpiredCodeException", "")
	_, err = p.signIn(ann, password)
	requireCode(t, err, "NotAuthorizedException", "")
	_, err = p.signIn(ann, newPassword)
	require.NoError(t, err)

	_, err = p.forgot(ann)
	require.NoError(t, err)
	code = p.code(ann)
	p.advance(time.Hour)
	requireCode(t, p.reset(ann, code, newPassword), "ExpiredCodeException", "")
}

func TestResetGuessingEnds(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	_, err := p.forgot(ann)
	require.NoError(t, err)
	code := p.code(ann)
	for range 5 {
		requireCode(t, p.reset(ann, wrong(code), newPassword), "CodeMismatchException", "")
	}
	requireCode(t, p.reset(ann, code, newPassword), "LimitExceededException", "")
	for range 19 {
		_, err = p.forgot(ann)
		require.NoError(t, err)
	}
	_, err = p.forgot(ann)
	requireCode(t, err, "LimitExceededException", "Attempt limit exceeded")
	p.advance(time.Hour)
	_, err = p.forgot(ann)
	require.NoError(t, err)
}

func TestResetOnlyByTheAdministrator(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(in *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) {
		in.AccountRecoverySetting = &types.AccountRecoverySettingType{RecoveryMechanisms: []types.RecoveryOptionType{
			{Name: types.RecoveryOptionNameTypeAdminOnly, Priority: sdk.Int32(1)},
		}}
	})
	_, err := p.forgot("ann@example.org")
	requireCode(t, err, "NotAuthorizedException", "Contact administrator to reset password.")
}

func TestMailIsInTheWordsOfThePool(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(in *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) {
		in.VerificationMessageTemplate = &types.VerificationMessageTemplateType{
			EmailSubject: sdk.String("Welcome"), EmailMessage: sdk.String("Type {####} to begin."), DefaultEmailOption: types.DefaultEmailOptionTypeConfirmWithCode,
		}
	})
	_, err := p.signUp("ann@example.org", password)
	require.NoError(t, err)
	code := p.code("ann@example.org")
	assert.Equal(t, []aws.Mail{{To: "ann@example.org", Subject: "Welcome", Body: "Type " + code + " to begin.", Code: code, At: p.Now()}}, p.Mails())
}

func TestAdminResetMailsACodeAndStopsSignIn(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	_, err := p.c.AdminResetUserPassword(t.Context(), &cip.AdminResetUserPasswordInput{UserPoolId: p.id, Username: sdk.String(ann)})
	require.NoError(t, err)
	code := p.code(ann)
	_, err = p.signIn(ann, password)
	requireCode(t, err, "PasswordResetRequiredException", "Password reset required")
	_, err = p.adminSignIn(ann, password)
	requireCode(t, err, "PasswordResetRequiredException", "Password reset required")
	require.NoError(t, p.reset(ann, code, newPassword))
	_, err = p.adminSignIn(ann, newPassword)
	require.NoError(t, err)
}

// What a caller can learn about a name that nobody has must be what it learns about one that somebody has.
func TestNobodyLearnsWhoExists(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann, nobody = "ann@example.org", "axl@example.net"
	p.member(ann)
	_, known := p.signIn(ann, "Wrong-Password-1")
	_, unknown := p.signIn(nobody, "Wrong-Password-1")
	requireCode(t, known, "NotAuthorizedException", "Incorrect username or password.")
	requireCode(t, unknown, "NotAuthorizedException", "Incorrect username or password.")
	_, unknown = p.adminSignIn(nobody, password)
	requireCode(t, unknown, "NotAuthorizedException", "Incorrect username or password.")

	one, err := p.forgot(ann)
	require.NoError(t, err)
	before := len(p.Mails())
	other, err := p.forgot(nobody)
	require.NoError(t, err)
	assert.Equal(t, one.CodeDeliveryDetails, other.CodeDeliveryDetails)
	resent, err := p.resend(nobody)
	require.NoError(t, err)
	assert.Equal(t, one.CodeDeliveryDetails, resent.CodeDeliveryDetails)
	assert.Len(t, p.Mails(), before, "nothing is mailed to nobody")
	requireCode(t, p.reset(nobody, "123456", newPassword), "CodeMismatchException", "")
	requireCode(t, p.confirm(nobody, "123456"), "ExpiredCodeException", "")

	_, err = p.c.AdminDisableUser(t.Context(), &cip.AdminDisableUserInput{UserPoolId: p.id, Username: sdk.String(ann)})
	require.NoError(t, err)
	_, err = p.signIn(ann, "Wrong-Password-1")
	requireCode(t, err, "NotAuthorizedException", "Incorrect username or password.")
	before = len(p.Mails())
	_, err = p.forgot(ann)
	require.NoError(t, err)
	assert.Len(t, p.Mails(), before, "nothing is mailed to a disabled user")
	requireCode(t, p.reset(ann, "123456", newPassword), "CodeMismatchException", "")
	for range 4 { // locks a name that nobody has as it locks one that somebody has
		_, _ = p.signIn(nobody, password)
	}
	_, err = p.signIn(nobody, password)
	requireCode(t, err, "NotAuthorizedException", "Password attempts exceeded")
}

func TestLegacyClientsTell(t *testing.T) {
	t.Parallel()
	p := newPool(t, legacy)
	const ann, nobody = "ann@example.org", "axl@example.net"
	_, err := p.signIn(nobody, password)
	requireCode(t, err, "UserNotFoundException", "User does not exist.")
	_, err = p.forgot(nobody)
	requireCode(t, err, "UserNotFoundException", "Username/client id combination not found.")
	_, err = p.resend(nobody)
	requireCode(t, err, "UserNotFoundException", "Username/client id combination not found.")
	requireCode(t, p.confirm(nobody, "123456"), "UserNotFoundException", "")
	requireCode(t, p.reset(nobody, "123456", newPassword), "UserNotFoundException", "")

	_, err = p.signUp(ann, password)
	require.NoError(t, err)
	_, err = p.forgot(ann)
	requireCode(t, err, "InvalidParameterException", "no registered/verified email")
	require.NoError(t, p.confirm(ann, p.code(ann)))
	_, err = p.c.AdminDisableUser(t.Context(), &cip.AdminDisableUserInput{UserPoolId: p.id, Username: sdk.String(ann)})
	require.NoError(t, err)
	_, err = p.signIn(ann, password)
	requireCode(t, err, "NotAuthorizedException", "User is disabled.")
	_, err = p.forgot(ann)
	requireCode(t, err, "NotAuthorizedException", "User is disabled.")
}

func TestSecretHash(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	attempts := func() map[string]error {
		errs := map[string]error{}
		_, errs["SignUp"] = p.signUp("bob@example.org", password)
		errs["ConfirmSignUp"] = p.confirm(ann, "123456")
		_, errs["ResendConfirmationCode"] = p.resend(ann)
		_, errs["ForgotPassword"] = p.forgot(ann)
		errs["ConfirmForgotPassword"] = p.reset(ann, "123456", newPassword)
		_, errs["InitiateAuth"] = p.signIn(ann, password)
		_, errs["AdminInitiateAuth"] = p.adminSignIn(ann, password)
		_, errs["RespondToAuthChallenge"] = p.answer("SOFTWARE_TOKEN_MFA", "session", ann, "123456")
		return errs
	}
	right := p.secret
	p.secret = "another"
	for call, err := range attempts() {
		requireCode(t, err, "NotAuthorizedException", "Unable to verify secret hash for client "+*p.client)
		assert.Error(t, err, call)
	}
	p.secret = ""
	for call, err := range attempts() {
		requireCode(t, err, "NotAuthorizedException", "SECRET_HASH was not received")
		assert.Error(t, err, call)
	}
	p.secret = right
	_, err := p.signIn(ann, password)
	require.NoError(t, err)

	open := newPool(t, func(_ *cip.CreateUserPoolInput, c *cip.CreateUserPoolClientInput) { c.GenerateSecret = false })
	open.member(ann)
	open.secret = "a hash for a client without a secret"
	_, err = open.signIn(ann, password)
	requireCode(t, err, "NotAuthorizedException", "Unable to verify secret hash")
}

func TestUnknownClient(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	p.member("ann@example.org")
	_, err := p.c.DeleteUserPoolClient(t.Context(), &cip.DeleteUserPoolClientInput{UserPoolId: p.id, ClientId: p.client})
	require.NoError(t, err)
	for range 2 {
		_, err = p.signIn("ann@example.org", password)
		requireCode(t, err, "ResourceNotFoundException", "User pool client "+*p.client+" does not exist.")
	}
}

func TestFlowsOfTheClient(t *testing.T) {
	t.Parallel()
	flows := func(flows ...types.ExplicitAuthFlowsType) func(*cip.CreateUserPoolInput, *cip.CreateUserPoolClientInput) {
		return func(_ *cip.CreateUserPoolInput, c *cip.CreateUserPoolClientInput) { c.ExplicitAuthFlows = flows }
	}
	for name, c := range map[string]struct {
		allowed     []types.ExplicitAuthFlowsType
		user, admin bool
	}{
		"default":       {nil, false, false},
		"user":          {[]types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserPasswordAuth}, true, false},
		"admin":         {[]types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth}, false, true},
		"old names":     {[]types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeUserPasswordAuth, types.ExplicitAuthFlowsTypeAdminNoSrpAuth}, true, true},
		"only refresh":  {[]types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth}, false, false},
		"only by proof": {[]types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserSrpAuth}, false, false},
	} {
		p := newPool(t, flows(c.allowed...))
		p.member("ann@example.org")
		_, err := p.signIn("ann@example.org", password)
		if c.user {
			require.NoError(t, err, name)
		} else {
			requireCode(t, err, "InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client")
		}
		_, err = p.adminSignIn("ann@example.org", password)
		if c.admin {
			require.NoError(t, err, name)
		} else {
			requireCode(t, err, "InvalidParameterException", "Auth flow not enabled for this client")
		}
	}
}

func TestProofsThatMotoCannotCheckAreRefused(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(_ *cip.CreateUserPoolInput, c *cip.CreateUserPoolClientInput) {
		c.ExplicitAuthFlows = []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserSrpAuth, types.ExplicitAuthFlowsTypeAllowCustomAuth}
	})
	p.member("ann@example.org")
	for _, flow := range []types.AuthFlowType{types.AuthFlowTypeUserSrpAuth, types.AuthFlowTypeCustomAuth, types.AuthFlowTypeUserAuth} {
		_, err := p.c.InitiateAuth(t.Context(), &cip.InitiateAuthInput{ClientId: p.client, AuthFlow: flow, AuthParameters: p.parameters("ann@example.org", "")})
		requireCode(t, err, "InvalidParameterException", "does not serve "+string(flow))
	}
	_, err := p.answer("PASSWORD_VERIFIER", "session", "ann@example.org", "proof")
	requireCode(t, err, "InvalidParameterException", "does not serve USER_SRP_AUTH")
	_, err = p.c.InitiateAuth(t.Context(), &cip.InitiateAuthInput{
		ClientId: p.client, AuthFlow: types.AuthFlowTypeAdminUserPasswordAuth, AuthParameters: p.parameters("ann@example.org", password),
	})
	requireCode(t, err, "InvalidParameterException", "Initiate Auth method not supported")
}

func TestLockout(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	fail := func(want string) {
		t.Helper()
		_, err := p.signIn(ann, "Wrong-Password-1")
		requireCode(t, err, "NotAuthorizedException", want)
	}
	const bad, locked = "Incorrect username or password.", "Password attempts exceeded"
	for range 5 {
		fail(bad)
	}
	fail(locked)
	_, err := p.signIn(ann, password)
	requireCode(t, err, "NotAuthorizedException", locked)
	_, err = p.adminSignIn(ann, password)
	requireCode(t, err, "NotAuthorizedException", locked)
	p.advance(time.Second)
	fail(bad) // the sixth
	p.advance(2*time.Second - time.Millisecond)
	fail(locked)
	p.advance(time.Millisecond)
	fail(bad) // the seventh
	p.advance(4 * time.Second)
	_, err = p.signIn(ann, password)
	require.NoError(t, err)
	for range 5 {
		fail(bad) // the count began anew
	}
	fail(locked)
	p.advance(15 * time.Minute)
	for range 5 {
		fail(bad) // forgotten
	}
	fail(locked)
}

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	long := "Aa1!" + strings.Repeat("long", 60) // 244 characters
	for bad, want := range map[string]string{
		"Short-1":             "Password not long enough",
		"no-upper-case-1":     "Password must have uppercase characters",
		"NO-LOWER-CASE-1":     "Password must have lowercase characters",
		"No-Numbers-Here":     "Password must have numeric characters",
		"NoSymbolsHere1":      "Password must have symbol characters",
		"Password-1":          "Password not long enough",
		"nothing of anything": "Password must have uppercase characters",
	} {
		_, err := p.signUp("ann@example.org", bad)
		requireCode(t, err, "InvalidPasswordException", "Password did not conform with policy: "+want)
	}
	for _, bad := range []string{" Leading-Space-1", "Trailing-Space-1 ", long + long} {
		_, err := p.signUp("ann@example.org", bad)
		requireCode(t, err, "InvalidParameterException", "'password' failed to satisfy constraint")
	}
	_, err := p.signUp("ann@example.org", long)
	require.NoError(t, err)
	require.NoError(t, p.confirm("ann@example.org", p.code("ann@example.org")))
	_, err = p.signIn("ann@example.org", long)
	require.NoError(t, err)
	_, err = p.signIn("ann@example.org", long+"x")
	requireCode(t, err, "NotAuthorizedException", "")

	name := sdk.String("ann@example.org")
	set := func(password string) error {
		_, err := p.c.AdminSetUserPassword(t.Context(), &cip.AdminSetUserPasswordInput{UserPoolId: p.id, Username: name, Password: &password, Permanent: true})
		return err
	}
	requireCode(t, set("short"), "InvalidPasswordException", "Password not long enough")
	require.NoError(t, set(newPassword))
	signed, err := p.signIn(*name, newPassword)
	require.NoError(t, err)
	change := func(from, to string, token *string) error {
		_, err := p.c.ChangePassword(t.Context(), &cip.ChangePasswordInput{AccessToken: token, PreviousPassword: &from, ProposedPassword: &to})
		return err
	}
	token := signed.AuthenticationResult.AccessToken
	requireCode(t, change(newPassword, "short", token), "InvalidPasswordException", "Password not long enough")
	err = change("Wrong-Password-1", long, token)
	requireCode(t, err, "NotAuthorizedException", "Incorrect username or password.")
	assert.NotContains(t, err.Error(), *name)
	requireCode(t, change(newPassword, long, sdk.String("no.token.atall")), "NotAuthorizedException", "Invalid Access Token")
	requireCode(t, change(newPassword, long, sdk.String("none")), "NotAuthorizedException", "Invalid Access Token")
	require.NoError(t, change(newPassword, long, token))
	_, err = p.signIn(*name, long)
	require.NoError(t, err)
}

func TestNamesWithoutCase(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	p.member("ann@example.org")
	_, err := p.signUp("Ann@Example.org", password)
	requireCode(t, err, "UsernameExistsException", "")
	_, err = p.signIn("ANN@example.org", password)
	require.NoError(t, err)
	assert.Equal(t, types.UserStatusTypeConfirmed, p.get("Ann@Example.Org").UserStatus)

	exact := newPool(t, func(in *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) { in.UsernameConfiguration = nil })
	exact.member("ann@example.org")
	_, err = exact.signUp("Ann@Example.org", password)
	require.NoError(t, err)
}

func TestTwoSignUpsOfOneAddress(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := p.signUp("ann@example.org", password)
			errs <- err
		}()
	}
	succeeded := 0
	for range 8 {
		if err := <-errs; err == nil {
			succeeded++
		} else {
			requireCode(t, err, "UsernameExistsException", "")
		}
	}
	assert.Equal(t, 1, succeeded)
	assert.Len(t, p.Mails(), 1)
}

func TestDeletedUserIsForgotten(t *testing.T) {
	t.Parallel()
	named := func(in *cip.CreateUserPoolInput, _ *cip.CreateUserPoolClientInput) { in.UsernameAttributes = nil }
	p := newPool(t, named)
	sign := func() {
		_, err := p.c.SignUp(t.Context(), &cip.SignUpInput{
			ClientId: p.client, Username: sdk.String("ann"), Password: sdk.String(password), SecretHash: p.hash("ann"),
			UserAttributes: []types.AttributeType{{Name: sdk.String("email"), Value: sdk.String("ann@example.org")}},
		})
		require.NoError(t, err)
	}
	sign()
	code := p.code("ann@example.org")
	for range 5 {
		requireCode(t, p.confirm("ann", wrong(code)), "CodeMismatchException", "")
	}
	_, err := p.c.AdminDeleteUser(t.Context(), &cip.AdminDeleteUserInput{UserPoolId: p.id, Username: sdk.String("ann")})
	require.NoError(t, err)
	requireCode(t, p.confirm("ann", code), "ExpiredCodeException", "")
	sign()
	require.NoError(t, p.confirm("ann", p.code("ann@example.org")), "the count is the new user's own")
	_, err = p.c.AdminDeleteUser(t.Context(), &cip.AdminDeleteUserInput{UserPoolId: p.id, Username: sdk.String("nobody")})
	requireCode(t, err, "UserNotFoundException", "")
}

func TestMailCallback(t *testing.T) {
	t.Parallel()
	var got []aws.Mail
	p := &pool{local: start(t, func(c *aws.Config) { c.Mail = func(m aws.Mail) { got = append(got, m) } }), t: t}
	q := newPool(t)
	p.c, p.id, p.client, p.secret = p.cognito(t), q.id, q.client, q.secret
	_, err := p.signUp("ann@example.org", password)
	require.NoError(t, err)
	assert.Equal(t, p.Mails(), got)
	require.Len(t, got, 1)
	assert.Equal(t, "Your verification code", got[0].Subject)
}

func TestAdministratorsNeedASignature(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	unsigned := cip.New(cip.Options{Region: region, BaseEndpoint: &p.url, Credentials: sdk.AnonymousCredentials{}, RetryMaxAttempts: 1})
	_, err := unsigned.AdminGetUser(t.Context(), &cip.AdminGetUserInput{UserPoolId: p.id, Username: sdk.String("ann")})
	requireCode(t, err, "MissingAuthenticationTokenException", "")
	_, err = unsigned.InitiateAuth(t.Context(), &cip.InitiateAuthInput{ClientId: p.client, AuthFlow: types.AuthFlowTypeUserPasswordAuth})
	requireCode(t, err, "NotAuthorizedException", "SECRET_HASH was not received")
}

// answer responds to a challenge.
func (p *pool) answer(challenge, session, name, value string) (*cip.RespondToAuthChallengeOutput, error) {
	responses := map[string]string{"USERNAME": name, "SOFTWARE_TOKEN_MFA_CODE": value, "NEW_PASSWORD": value}
	if h := p.hash(name); h != nil {
		responses["SECRET_HASH"] = *h
	}
	return p.c.RespondToAuthChallenge(p.t.Context(), &cip.RespondToAuthChallengeInput{
		ClientId: p.client, ChallengeName: types.ChallengeNameType(challenge), Session: &session, ChallengeResponses: responses,
	})
}

func TestNewPasswordChallenge(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	for _, name := range []string{ann, "bob@example.org"} {
		_, err := p.c.AdminCreateUser(t.Context(), &cip.AdminCreateUserInput{UserPoolId: p.id, Username: sdk.String(name), TemporaryPassword: sdk.String(password)})
		require.NoError(t, err)
	}
	_, err := p.c.AdminCreateUser(t.Context(), &cip.AdminCreateUserInput{UserPoolId: p.id, Username: sdk.String("eve@example.org"), TemporaryPassword: sdk.String("short")})
	requireCode(t, err, "InvalidPasswordException", "")
	_, err = p.forgot(ann)
	require.NoError(t, err)
	assert.Empty(t, p.Mails(), "a user who never signed in has nothing to reset")

	challenge := func() string {
		out, err := p.signIn(ann, password)
		require.NoError(t, err)
		require.Equal(t, types.ChallengeNameTypeNewPasswordRequired, out.ChallengeName)
		return *out.Session
	}
	session := challenge()
	_, err = p.answer("NEW_PASSWORD_REQUIRED", session, "bob@example.org", newPassword)
	requireCode(t, err, "NotAuthorizedException", "Invalid session for the user.")
	_, err = p.answer("NEW_PASSWORD_REQUIRED", "none", ann, newPassword)
	requireCode(t, err, "NotAuthorizedException", "Invalid session for the user.")
	_, err = p.answer("NEW_PASSWORD_REQUIRED", session, ann, "short")
	requireCode(t, err, "InvalidPasswordException", "")
	p.advance(3 * time.Minute)
	_, err = p.answer("NEW_PASSWORD_REQUIRED", session, ann, newPassword)
	requireCode(t, err, "NotAuthorizedException", "session is expired")
	_, err = p.answer("NEW_PASSWORD_REQUIRED", challenge(), ann, newPassword)
	require.NoError(t, err)
	_, err = p.signIn(ann, newPassword)
	require.NoError(t, err)
}

// authenticator is RFC 6238 written for the test.
func authenticator(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	require.NoError(t, err)
	counter := make([]byte, 8)
	binary.BigEndian.PutUint64(counter, uint64(at.Unix()/30))
	h := hmac.New(sha1.New, key)
	h.Write(counter)
	sum := h.Sum(nil)
	o := sum[19] & 15
	return fmt.Sprintf("%06d", (uint32(sum[o])&127<<24|uint32(sum[o+1])<<16|uint32(sum[o+2])<<8|uint32(sum[o+3]))%1000000)
}

// withTOTP gives a member an authenticator, and returns its secret.
func (p *pool) withTOTP(name string) string {
	p.t.Helper()
	p.member(name)
	signed, err := p.signIn(name, password)
	require.NoError(p.t, err)
	token := signed.AuthenticationResult.AccessToken
	out, err := p.c.AssociateSoftwareToken(p.t.Context(), &cip.AssociateSoftwareTokenInput{AccessToken: token})
	require.NoError(p.t, err)
	verify := func(code string) error {
		_, err := p.c.VerifySoftwareToken(p.t.Context(), &cip.VerifySoftwareTokenInput{AccessToken: token, UserCode: &code})
		return err
	}
	code := authenticator(p.t, *out.SecretCode, p.Now())
	requireCode(p.t, verify(wrong(code)), "EnableSoftwareTokenMFAException", "Code mismatch")
	require.NoError(p.t, verify(code))
	_, err = p.c.SetUserMFAPreference(p.t.Context(), &cip.SetUserMFAPreferenceInput{
		AccessToken: token, SoftwareTokenMfaSettings: &types.SoftwareTokenMfaSettingsType{Enabled: true, PreferredMfa: true},
	})
	require.NoError(p.t, err)
	return *out.SecretCode
}

func (p *pool) challenge(name string) string {
	p.t.Helper()
	out, err := p.signIn(name, password)
	require.NoError(p.t, err)
	require.Equal(p.t, types.ChallengeNameTypeSoftwareTokenMfa, out.ChallengeName)
	require.Nil(p.t, out.AuthenticationResult)
	return *out.Session
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann, bob = "ann@example.org", "bob@example.org"
	secret, other := p.withTOTP(ann), p.withTOTP(bob)
	assert.NotEqual(t, secret, other, "everybody has a secret of their own")
	now := func() string { return authenticator(t, secret, p.Now()) }

	session := p.challenge(ann)
	_, err := p.answer("SOFTWARE_TOKEN_MFA", session, ann, now())
	requireCode(t, err, "ExpiredCodeException", "already been used once")
	p.advance(30 * time.Second)
	_, err = p.answer("SOFTWARE_TOKEN_MFA", session, ann, wrong(now()))
	requireCode(t, err, "CodeMismatchException", "Invalid code received for user")
	_, err = p.answer("SOFTWARE_TOKEN_MFA", session, bob, authenticator(t, other, p.Now()))
	requireCode(t, err, "NotAuthorizedException", "Invalid session for the user.")
	out, err := p.answer("SOFTWARE_TOKEN_MFA", session, ann, now())
	require.NoError(t, err)
	assert.NotEmpty(t, out.AuthenticationResult.AccessToken)
	_, err = p.answer("SOFTWARE_TOKEN_MFA", session, ann, now())
	requireCode(t, err, "NotAuthorizedException", "Invalid session for the user.")

	p.advance(time.Hour)
	for range 5 { // a right password in between does not start the count anew
		_, err = p.answer("SOFTWARE_TOKEN_MFA", p.challenge(ann), ann, wrong(now()))
		requireCode(t, err, "CodeMismatchException", "")
	}
	_, err = p.answer("SOFTWARE_TOKEN_MFA", p.challenge(ann), ann, now())
	requireCode(t, err, "NotAuthorizedException", "Password attempts exceeded")
}

func TestTOTPNeedsToBeSetUp(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	const ann = "ann@example.org"
	p.member(ann)
	signed, err := p.signIn(ann, password)
	require.NoError(t, err)
	_, err = p.c.VerifySoftwareToken(t.Context(), &cip.VerifySoftwareTokenInput{AccessToken: signed.AuthenticationResult.AccessToken, UserCode: sdk.String("123456")})
	requireCode(t, err, "EnableSoftwareTokenMFAException", "")
	_, err = p.c.VerifySoftwareToken(t.Context(), &cip.VerifySoftwareTokenInput{AccessToken: sdk.String("none"), UserCode: sdk.String("123456")})
	requireCode(t, err, "NotAuthorizedException", "Invalid Access Token")
	_, err = p.c.AssociateSoftwareToken(t.Context(), &cip.AssociateSoftwareTokenInput{AccessToken: sdk.String("none")})
	requireCode(t, err, "NotAuthorizedException", "")
	_, err = p.c.VerifySoftwareToken(t.Context(), &cip.VerifySoftwareTokenInput{Session: sdk.String("0123456789abcdef0123"), UserCode: sdk.String("123456")})
	requireCode(t, err, "NotAuthorizedException", "Invalid session")
}
