package aws

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Times of "Quotas in Amazon Cognito", code validity; attempts of "Forgot password behavior": between 5 and 20 in an hour.
const (
	signUpLife   = 24 * time.Hour
	resetLife    = time.Hour
	maxWrong     = 5
	maxRequested = 20
	window       = time.Hour
)

// purpose is what a code or a count of failures is for.
type purpose struct {
	user
	use string
}

// The uses of codes and counts.
const (
	useSignUp  = "sign-up"
	useReset   = "reset"
	useRequest = "request"
	useSignIn  = "sign-in"
	useTOTP    = "one-time password"
)

type code struct {
	value   string
	expires time.Time
}

// failures are attempts in a window that begins with the first.
type failures struct {
	count int
	since time.Time
	last  time.Time
}

// count adds an attempt and tells how many there were in the window before it.
func (f *Front) count(p purpose) int {
	now, past := f.config.Now(), f.cognito.failures[p]
	if now.Sub(past.since) >= window {
		past = failures{since: now}
	}
	before := past.count
	past.count, past.last = past.count+1, now
	if f.cognito.failures == nil {
		f.cognito.failures = map[purpose]failures{}
	}
	f.cognito.failures[p] = past
	return before
}

// counted is how many attempts there were in the window.
func (f *Front) counted(p purpose) int {
	past := f.cognito.failures[p]
	if f.config.Now().Sub(past.since) >= window {
		return 0
	}
	return past.count
}

func tooMany() error {
	return refuse("LimitExceededException", "Attempt limit exceeded, please try after some time.")
}

// issue makes a new code, which ends the one before it, and mails it in the words of the pool.
func (f *Front) issue(p purpose, pool map[string]any, to string, life time.Duration) {
	now := f.config.Now()
	value := randomText(decimals, 6)
	if f.cognito.codes == nil {
		f.cognito.codes = map[purpose]code{}
	}
	f.cognito.codes[p] = code{value, now.Add(life)}
	subject := words(pool, "EmailVerificationSubject", "EmailSubject", "Your verification code")
	body := strings.ReplaceAll(words(pool, "EmailVerificationMessage", "EmailMessage", "Your verification code is {####}."), "{####}", value)
	f.send(Mail{To: to, Subject: subject, Body: body, Code: value, At: now})
}

// words are what the pool says, in its own member or in its template, else Cognito's own (Cognito Developer Guide,
// "Customizing email verification messages").
func words(pool map[string]any, member, ofTemplate, otherwise string) string {
	template, _ := pool["VerificationMessageTemplate"].(map[string]any)
	return cmp.Or(text(pool, member), text(template, ofTemplate), otherwise)
}

// check compares a code. It stays valid until it is dropped, so that a caller may correct what else was wrong.
func (f *Front) check(p purpose, given string) error {
	if f.counted(p) >= maxWrong {
		return tooMany()
	}
	c, issued := f.cognito.codes[p]
	if !issued || !f.config.Now().Before(c.expires) {
		return expiredCode()
	}
	if subtle.ConstantTimeCompare([]byte(c.value), []byte(given)) != 1 {
		f.count(p)
		return wrongCode()
	}
	return nil
}

func (f *Front) drop(p purpose) {
	delete(f.cognito.codes, p)
	delete(f.cognito.failures, p)
}

func expiredCode() error {
	return refuse("ExpiredCodeException", "Invalid code provided, please request a code again.")
}

func wrongCode() error {
	return refuse("CodeMismatchException", "Invalid verification code provided, please try again.")
}

// delivery is the CodeDeliveryDetails of a mail, with the address hidden but for its first letters.
func delivery(address string) map[string]any {
	name, domain, _ := strings.Cut(address, "@")
	return map[string]any{"CodeDeliveryDetails": map[string]any{
		"Destination": fmt.Sprintf("%.1s***@%.1s***", name, domain), "DeliveryMedium": "EMAIL", "AttributeName": "email",
	}}
}

// simulated is the answer for a user that does not exist: it cannot be told from a real one when the name is an address.
func simulated(name string) (*answer, error) {
	if !strings.Contains(name, "@") {
		name += "@example.com"
	}
	return success(delivery(name))
}

// notFound is the answer to a name that nobody has where the client does not hide that.
func notFound() error {
	return refuse("UserNotFoundException", "Username/client id combination not found.")
}

func (c client) verifies(name string) bool {
	return slices.Contains(list(c.settings, "AutoVerifiedAttributes"), any(name))
}

// signUp mails a code to a new user where the pool verifies addresses by itself.
func (f *Front) signUp(q *request, c client) (*answer, error) {
	if err := checkPolicy(c.settings, text(q.Body, "Password")); err != nil {
		return nil, err
	}
	held, err := q.set("Password", stored(text(q.Body, "Password")))
	if err != nil {
		return nil, err
	}
	a, err := f.forward(held)
	if err != nil {
		return nil, err
	}
	if a.code() == "UsernameExistsException" {
		return nil, refuse("UsernameExistsException", "User already exists")
	}
	fields := a.fields()
	if !a.ok() || fields["UserConfirmed"] == true {
		return a, nil
	}
	known, err := f.describeUser(q.ctx, c.pool, text(q.Body, "Username"))
	if err != nil {
		return nil, err
	}
	delete(fields, "CodeDeliveryDetails")
	if to := attribute(known, "email"); to != "" && c.verifies("email") {
		f.issue(purpose{identify(c.pool, "", known), useSignUp}, c.settings, to, signUpLife)
		fields["CodeDeliveryDetails"] = delivery(to)["CodeDeliveryDetails"]
	}
	return a.replace(fields)
}

// confirmSignUp confirms by the mailed code, which also proves the address.
func (f *Front) confirmSignUp(q *request, c client) (*answer, error) {
	known, err := f.describeUser(q.ctx, c.pool, text(q.Body, "Username"))
	switch {
	case err != nil:
		return nil, err
	case known == nil && c.hideUsers:
		return nil, expiredCode()
	case known == nil:
		return nil, notFound()
	case text(known, "UserStatus") != "UNCONFIRMED":
		return nil, refuse("NotAuthorizedException", "User cannot be confirmed. Current status is %s", text(known, "UserStatus"))
	}
	p := purpose{identify(c.pool, "", known), useSignUp}
	if err := f.check(p, text(q.Body, "ConfirmationCode")); err != nil {
		return nil, err
	}
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	f.drop(p)
	verified := []any{map[string]any{"Name": "email_verified", "Value": "true"}}
	_, err = f.ask(q.ctx, "cognito-idp", cognitoTarget+"AdminUpdateUserAttributes", map[string]any{"UserPoolId": c.pool, "Username": known["Username"], "UserAttributes": verified})
	return a, err
}

// resendCode answers in place of moto, which does not have the operation.
func (f *Front) resendCode(q *request, c client) (*answer, error) {
	name := text(q.Body, "Username")
	known, err := f.describeUser(q.ctx, c.pool, name)
	if err != nil {
		return nil, err
	}
	who := identify(c.pool, name, known)
	if f.count(purpose{who, useRequest}) >= maxRequested {
		return nil, tooMany()
	}
	to := attribute(known, "email")
	switch {
	case known == nil && c.hideUsers:
		return simulated(name)
	case known == nil:
		return nil, notFound()
	case text(known, "UserStatus") != "UNCONFIRMED":
		return nil, refuse("InvalidParameterException", "User is already confirmed.")
	case !c.verifies("email") || to == "":
		return nil, refuse("InvalidParameterException", "Cannot resend codes. Auto verification not turned on.")
	}
	f.issue(purpose{who, useSignUp}, c.settings, to, signUpLife)
	return success(delivery(to))
}

// forgotPassword mails a code to a verified address ("Managing user existence error responses", ForgotPassword).
func (f *Front) forgotPassword(q *request, c client) (*answer, error) {
	if c.adminOnly() {
		return nil, refuse("NotAuthorizedException", "Contact administrator to reset password.")
	}
	name := text(q.Body, "Username")
	known, err := f.describeUser(q.ctx, c.pool, name)
	if err != nil {
		return nil, err
	}
	who := identify(c.pool, name, known)
	if f.count(purpose{who, useRequest}) >= maxRequested {
		return nil, tooMany()
	}
	if problem := c.cannotReset(known); problem != nil {
		if c.hideUsers {
			return simulated(name)
		}
		return nil, problem
	}
	f.issue(purpose{who, useReset}, c.settings, attribute(known, "email"), resetLife)
	return success(delivery(attribute(known, "email")))
}

// adminOnly tells whether the pool lets nobody reset a password by mail ("RecoveryOptionType").
func (c client) adminOnly() bool {
	for _, option := range list(object(c.settings, "AccountRecoverySetting"), "RecoveryMechanisms") {
		one, _ := option.(map[string]any)
		if text(one, "Name") == "admin_only" {
			return true
		}
	}
	return false
}

func (c client) cannotReset(known map[string]any) error {
	switch {
	case known == nil:
		return notFound()
	case known["Enabled"] == false:
		return refuse("NotAuthorizedException", "User is disabled.")
	case text(known, "UserStatus") == "FORCE_CHANGE_PASSWORD":
		return refuse("NotAuthorizedException", "User password cannot be reset in the current state.")
	case attribute(known, "email") == "" || attribute(known, "email_verified") != "true":
		return refuse("InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email or phone_number")
	}
	return nil
}

// confirmForgotPassword sets a password by the mailed code. It goes by way of the administrator's operation, which also
// ends the states that moto leaves as they were.
func (f *Front) confirmForgotPassword(q *request, c client) (*answer, error) {
	name, password := text(q.Body, "Username"), text(q.Body, "Password")
	known, err := f.describeUser(q.ctx, c.pool, name)
	switch {
	case err != nil:
		return nil, err
	case c.hideUsers && (known == nil || known["Enabled"] == false):
		return nil, wrongCode()
	case known == nil:
		return nil, notFound()
	}
	p := purpose{identify(c.pool, name, known), useReset}
	if err := f.check(p, text(q.Body, "ConfirmationCode")); err != nil {
		return nil, err
	}
	if err := checkPolicy(c.settings, password); err != nil {
		return nil, err
	}
	a, err := f.ask(q.ctx, "cognito-idp", cognitoTarget+"AdminSetUserPassword", map[string]any{
		"UserPoolId": c.pool, "Username": known["Username"], "Password": stored(password), "Permanent": true,
	})
	if err != nil || !a.ok() {
		return a, err
	}
	f.drop(p)
	delete(f.cognito.failures, purpose{p.user, useSignIn})
	return success(map[string]any{})
}

// adminReset mails a code as well, which moto forgets ("AdminResetUserPassword").
func (f *Front) adminReset(q *request, pool map[string]any) (*answer, error) {
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	known, err := f.describeUser(q.ctx, text(pool, "Id"), text(q.Body, "Username"))
	if err != nil {
		return nil, err
	}
	if to := attribute(known, "email"); to != "" {
		f.issue(purpose{identify(text(pool, "Id"), "", known), useReset}, pool, to, resetLife)
	}
	return a, nil
}
