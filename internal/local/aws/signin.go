package aws

import (
	"maps"
	"strings"
	"time"
)

// Lockout of "Lockout behavior for failed sign-in attempts": after n failures 2^(n-5) seconds, at most about 15 minutes,
// forgotten after 15 minutes without an attempt.
const (
	freeFailures = 5
	maxLockout   = 15 * time.Minute
)

// session is a challenge that waits for its response.
type session struct {
	user
	expires time.Time
}

// initiateAuth signs in by password or refresh token, the flows that moto can check.
func (f *Front) initiateAuth(q *request, c client) (*answer, error) {
	flow, admin := text(q.Body, "AuthFlow"), q.Action == "AdminInitiateAuth"
	switch flow {
	case "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH":
		if !admin {
			return nil, refuse("InvalidParameterException", "Initiate Auth method not supported")
		}
		if !c.allows(flow) {
			return nil, refuse("InvalidParameterException", "Auth flow not enabled for this client")
		}
	case "USER_PASSWORD_AUTH", "REFRESH_TOKEN", "REFRESH_TOKEN_AUTH":
		if !c.allows(flow) {
			return nil, refuse("InvalidParameterException", "%s flow not enabled for this client", flow)
		}
	case "USER_SRP_AUTH", "CUSTOM_AUTH", "USER_AUTH":
		return nil, refuse("InvalidParameterException", "the local cloud does not serve %s: its store would accept any proof", flow)
	}
	if strings.HasSuffix(flow, "PASSWORD_AUTH") || flow == "ADMIN_NO_SRP_AUTH" {
		return f.passwordAuth(q, c)
	}
	return f.forward(q)
}

func badPassword() error {
	return refuse("NotAuthorizedException", "Incorrect username or password.")
}

// passwordAuth counts failures by user and locks, hides who exists, and refuses the states that moto lets in.
func (f *Front) passwordAuth(q *request, c client) (*answer, error) {
	name := text(object(q.Body, "AuthParameters"), "USERNAME")
	known, err := f.describeUser(q.ctx, c.pool, name)
	if err != nil {
		return nil, err
	}
	p := purpose{identify(c.pool, name, known), useSignIn}
	if f.locked(p) {
		return nil, refuse("NotAuthorizedException", "Password attempts exceeded")
	}
	if known == nil {
		f.fail(p)
		if c.hideUsers {
			return nil, badPassword()
		}
		return nil, refuse("UserNotFoundException", "User does not exist.")
	}
	held, err := q.setIn("AuthParameters", "PASSWORD", stored(text(object(q.Body, "AuthParameters"), "PASSWORD")))
	if err != nil {
		return nil, err
	}
	a, err := f.forward(held)
	if err != nil {
		return nil, err
	}
	return f.judge(a, p, known, c)
}

// judge turns moto's answer to a password into AWS's.
func (f *Front) judge(a *answer, p purpose, known map[string]any, c client) (*answer, error) {
	switch {
	case known["Enabled"] == false && !c.hideUsers:
		return nil, refuse("NotAuthorizedException", "User is disabled.")
	case a.code() == "NotAuthorizedException":
		f.fail(p)
		return nil, badPassword()
	case a.code() == "UserNotConfirmedException" || a.ok() && text(known, "UserStatus") == "UNCONFIRMED":
		return nil, refuse("UserNotConfirmedException", "User is not confirmed.")
	case a.ok() && text(known, "UserStatus") == "RESET_REQUIRED":
		return nil, refuse("PasswordResetRequiredException", "Password reset required for the user")
	case a.ok():
		delete(f.cognito.failures, p)
		f.remember(a, p.user, c)
	}
	return a, nil
}

// remember binds the session of a challenge to its user, which moto does not.
func (f *Front) remember(a *answer, who user, c client) {
	id, now := text(a.fields(), "Session"), f.config.Now()
	if id == "" {
		return
	}
	if f.cognito.sessions == nil {
		f.cognito.sessions = map[string]session{}
	}
	maps.DeleteFunc(f.cognito.sessions, func(_ string, s session) bool { return !now.Before(s.expires) })
	f.cognito.sessions[id] = session{who, now.Add(c.session)}
}

func (f *Front) fail(p purpose) {
	past := f.cognito.failures[p]
	past.count, past.last = past.count+1, f.config.Now()
	if f.cognito.failures == nil {
		f.cognito.failures = map[purpose]failures{}
	}
	f.cognito.failures[p] = past
}

// locked tells whether an attempt comes during a lockout; such attempts change nothing.
func (f *Front) locked(p purpose) bool {
	past, now := f.cognito.failures[p], f.config.Now()
	if now.Sub(past.last) >= maxLockout {
		delete(f.cognito.failures, p)
		return false
	}
	if past.count < freeFailures {
		return false
	}
	lockout := min(time.Second<<min(past.count-freeFailures, 30), maxLockout)
	return now.Before(past.last.Add(lockout))
}

// respond checks whose session it is before moto sees the response to a challenge.
func (f *Front) respond(q *request, c client) (*answer, error) {
	if text(q.Body, "ChallengeName") == "PASSWORD_VERIFIER" {
		return nil, refuse("InvalidParameterException", "the local cloud does not serve USER_SRP_AUTH: its store would accept any proof")
	}
	responses := object(q.Body, "ChallengeResponses")
	known, err := f.describeUser(q.ctx, c.pool, text(responses, "USERNAME"))
	if err != nil {
		return nil, err
	}
	who := identify(c.pool, text(responses, "USERNAME"), known)
	s, waiting := f.cognito.sessions[text(q.Body, "Session")]
	switch {
	case !waiting || s.user != who:
		return nil, refuse("NotAuthorizedException", "Invalid session for the user.")
	case !f.config.Now().Before(s.expires):
		return nil, refuse("NotAuthorizedException", "Invalid session for the user, session is expired.")
	}
	if q, err = f.checkResponse(q, c, who); err != nil {
		return nil, err
	}
	a, err := f.forward(q)
	if err == nil && a.ok() {
		delete(f.cognito.sessions, text(q.Body, "Session"))
		f.remember(a, who, c)
	}
	return a, err
}

func (f *Front) checkResponse(q *request, c client, who user) (*request, error) {
	responses := object(q.Body, "ChallengeResponses")
	switch text(q.Body, "ChallengeName") {
	case "NEW_PASSWORD_REQUIRED":
		if err := checkPolicy(c.settings, text(responses, "NEW_PASSWORD")); err != nil {
			return nil, err
		}
		return q.setIn("ChallengeResponses", "NEW_PASSWORD", stored(text(responses, "NEW_PASSWORD")))
	case "SOFTWARE_TOKEN_MFA":
		return q, f.checkTOTP(who, text(responses, "SOFTWARE_TOKEN_MFA_CODE"))
	}
	return q, nil
}
