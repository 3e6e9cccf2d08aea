// Package cognitomem is a user pool in memory, as the auth function sees one: the five calls that it makes, for one pool
// with one client that has a secret and prevents user existence errors. What it answers is what the Amazon Cognito
// Developer Guide says ("Managing user existence error responses", "Computing secret hash values") and the API reference.
package cognitomem

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// Pool is a user pool. Its exported fields are set before it is used.
type Pool struct {
	ID, ClientID string
	ClientSecret string           // empty: the client has none
	Fail         map[string]error // what a call, by its name, answers instead of doing its work
	Challenge    string           // what a right password meets instead of tokens

	mu    sync.Mutex
	users map[string]*user
	calls []string
	made  int
}

type user struct {
	subject, password, code string
	confirmed, disabled     bool
}

// Calls are the names of the calls so far.
func (p *Pool) Calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.calls...)
}

// Code is the code that was mailed last to an address; empty without one.
func (p *Pool) Code(email string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.users[strings.ToLower(email)]; u != nil {
		return u.code
	}
	return ""
}

// Disable disables an account, as an administrator may.
func (p *Pool) Disable(email string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[strings.ToLower(email)].disabled = true
}

// begin notes a call and answers with the failure that is set for it. The caller holds no lock; begin takes it.
func (p *Pool) begin(call string, clientID *string) error {
	p.mu.Lock()
	p.calls = append(p.calls, call)
	if err := p.Fail[call]; err != nil {
		return err
	}
	if aws.ToString(clientID) != p.ClientID {
		return &types.ResourceNotFoundException{Message: aws.String("User pool client " + aws.ToString(clientID) + " does not exist.")}
	}
	return nil
}

// proven checks a secret hash, which a client with a secret must send and one without must not.
func (p *Pool) proven(username string, hash *string) error {
	mac := hmac.New(sha256.New, []byte(p.ClientSecret))
	mac.Write([]byte(username + p.ClientID))
	switch want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); {
	case p.ClientSecret == "" && hash == nil, p.ClientSecret != "" && aws.ToString(hash) == want:
		return nil
	}
	return notAuthorized("Unable to verify secret hash for client " + p.ClientID)
}

func notAuthorized(text string) error { return &types.NotAuthorizedException{Message: &text} }

// SignUp registers a user and mails a code.
func (p *Pool) SignUp(_ context.Context, in *cognito.SignUpInput, _ ...func(*cognito.Options)) (*cognito.SignUpOutput, error) {
	err := p.begin("SignUp", in.ClientId)
	defer p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(*in.Username)
	if err := p.proven(*in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	if rule := weakness(*in.Password); rule != "" {
		return nil, &types.InvalidPasswordException{Message: aws.String("Password did not conform with policy: " + rule)}
	}
	if p.users[name] != nil {
		return nil, &types.UsernameExistsException{Message: aws.String("User already exists")}
	}
	if p.users == nil {
		p.users = map[string]*user{}
	}
	p.users[name] = &user{subject: fmt.Sprintf("00000000-0000-4000-8000-%012d", len(p.users)+1), password: *in.Password, code: p.newCode()}
	return &cognito.SignUpOutput{UserSub: &p.users[name].subject}, nil
}

func weakness(password string) string {
	switch {
	case len(password) < 12:
		return "Password not long enough"
	case !strings.ContainsFunc(password, unicode.IsUpper):
		return "Password must have uppercase characters"
	case !strings.ContainsFunc(password, unicode.IsDigit):
		return "Password must have numeric characters"
	}
	return ""
}

func (p *Pool) newCode() string {
	p.made++
	return fmt.Sprintf("%06d", 100000+p.made)
}

// ConfirmSignUp confirms a user with the code.
func (p *Pool) ConfirmSignUp(_ context.Context, in *cognito.ConfirmSignUpInput, _ ...func(*cognito.Options)) (*cognito.ConfirmSignUpOutput, error) {
	err := p.begin("ConfirmSignUp", in.ClientId)
	defer p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := p.proven(*in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	u := p.users[strings.ToLower(*in.Username)]
	switch {
	case u == nil:
		return nil, &types.ExpiredCodeException{Message: aws.String("Invalid code provided, please request a code again.")}
	case u.confirmed:
		return nil, notAuthorized("User cannot be confirmed. Current status is CONFIRMED")
	case u.code != *in.ConfirmationCode:
		return nil, &types.CodeMismatchException{Message: aws.String("Invalid verification code provided, please try again.")}
	}
	u.confirmed = true
	return &cognito.ConfirmSignUpOutput{}, nil
}

// ResendConfirmationCode mails a new code; for a user that does not exist it pretends to.
func (p *Pool) ResendConfirmationCode(_ context.Context, in *cognito.ResendConfirmationCodeInput, _ ...func(*cognito.Options)) (*cognito.ResendConfirmationCodeOutput, error) {
	err := p.begin("ResendConfirmationCode", in.ClientId)
	defer p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := p.proven(*in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	switch u := p.users[strings.ToLower(*in.Username)]; {
	case u == nil:
	case u.confirmed:
		return nil, &types.InvalidParameterException{Message: aws.String("User is already confirmed.")}
	default:
		u.code = p.newCode()
	}
	return &cognito.ResendConfirmationCodeOutput{}, nil
}

// AdminInitiateAuth checks a password. It looks at the password before it tells whether the user is confirmed.
func (p *Pool) AdminInitiateAuth(_ context.Context, in *cognito.AdminInitiateAuthInput, _ ...func(*cognito.Options)) (*cognito.AdminInitiateAuthOutput, error) {
	err := p.begin("AdminInitiateAuth", in.ClientId)
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case aws.ToString(in.UserPoolId) != p.ID:
		return nil, &types.ResourceNotFoundException{Message: aws.String("User pool " + aws.ToString(in.UserPoolId) + " does not exist.")}
	case in.AuthFlow != types.AuthFlowTypeAdminUserPasswordAuth:
		return nil, &types.InvalidParameterException{Message: aws.String("Auth flow not enabled for this client")}
	}
	var hash *string
	if h, ok := in.AuthParameters["SECRET_HASH"]; ok {
		hash = &h
	}
	if err := p.proven(in.AuthParameters["USERNAME"], hash); err != nil {
		return nil, err
	}
	u := p.users[strings.ToLower(in.AuthParameters["USERNAME"])]
	switch {
	case u == nil || u.password != in.AuthParameters["PASSWORD"]:
		return nil, notAuthorized("Incorrect username or password.")
	case u.disabled:
		return nil, notAuthorized("User is disabled.")
	case !u.confirmed:
		return nil, &types.UserNotConfirmedException{Message: aws.String("User is not confirmed.")}
	case p.Challenge != "":
		return &cognito.AdminInitiateAuthOutput{ChallengeName: types.ChallengeNameType(p.Challenge), Session: aws.String("s")}, nil
	}
	claims := fmt.Sprintf(`{"sub":%q,"token_use":"id","email":%q}`, u.subject, in.AuthParameters["USERNAME"])
	idToken := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	return &cognito.AdminInitiateAuthOutput{AuthenticationResult: &types.AuthenticationResultType{IdToken: &idToken}}, nil
}

// DescribeUserPoolClient tells the client's secret.
func (p *Pool) DescribeUserPoolClient(_ context.Context, in *cognito.DescribeUserPoolClientInput, _ ...func(*cognito.Options)) (*cognito.DescribeUserPoolClientOutput, error) {
	err := p.begin("DescribeUserPoolClient", in.ClientId)
	defer p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := &types.UserPoolClientType{ClientId: &p.ClientID, UserPoolId: &p.ID}
	if p.ClientSecret != "" {
		out.ClientSecret = &p.ClientSecret
	}
	return &cognito.DescribeUserPoolClientOutput{UserPoolClient: out}, nil
}
