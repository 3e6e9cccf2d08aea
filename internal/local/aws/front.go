// Package aws is the AWS API of the local cloud: one HTTP endpoint before moto. It authenticates every call by Signature
// Version 4 with the credentials of a deployed role, asks whether that role may make it, mends what moto gets wrong
// (see Differences), and passes everything else on unchanged.
package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says what a Front stands before. Backend, Account and Region are required.
type Config struct {
	Backend string           // URL of the moto server
	Account string           // the account id that moto was started with
	Region  string           // the only region that the front serves
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger     // failures of the front and of moto; nil discards them

	// Authorize decides a call of a role. An error refuses it with AccessDeniedException and the error's text; nil allows all.
	// It is not asked about the operator's calls, nor about those that AWS itself accepts unsigned.
	Authorize func(ctx context.Context, c Call) error
	// Mail is told of each mail at once, while the call that causes it waits: it must not call user pools itself. Nil keeps
	// the mails for Mails only.
	Mail func(m Mail)
}

// Call is one request to AWS, as the decision about it needs it.
type Call struct {
	Principal string         // ARN of the role, or of the operator; empty for an unsigned call
	Service   string         // name in the signature's scope, such as dynamodb, kms, secretsmanager, cognito-idp
	Action    string         // such as PutItem; empty where the protocol does not name it (S3 and other REST services)
	Region    string         // of the signature's scope
	Body      map[string]any // the parameters of a JSON or query request; nil for others. Numbers are json.Number.
}

// Front is the local AWS API. It is an http.Handler and safe for concurrent use.
type Front struct {
	config  Config
	backend *url.URL
	client  *http.Client
	proxy   *httputil.ReverseProxy
	keys    keyring
	calls   ring[Record]
	mails   ring[Mail]
	writes  sync.RWMutex // held exclusively by every write of DynamoDB, shared by its reads
	tokens  tokens
	cognito cognito
}

// maxBody is above every request of the services that the front reads whole; only S3 takes larger ones, and it is streamed.
const maxBody = 80 << 20

// New checks the configuration, all of it at once, and returns a Front that is not yet served.
func New(c Config) (*Front, error) {
	backend, err := url.Parse(c.Backend)
	if err != nil || backend.Scheme == "" || backend.Host == "" {
		err = errors.Join(err, fmt.Errorf("backend %q is not the URL of a moto server", c.Backend))
	}
	if !accountPattern.MatchString(c.Account) {
		err = errors.Join(err, fmt.Errorf("account %q: an AWS account id has twelve digits", c.Account))
	}
	if c.Region == "" {
		err = errors.Join(err, errors.New("region is empty"))
	}
	if err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	f := &Front{config: c, backend: backend, client: &http.Client{Transport: transport}}
	f.proxy = &httputil.ReverseProxy{Rewrite: f.rewrite, Transport: transport, ErrorHandler: f.unreachable, FlushInterval: -1}
	if err := f.keys.init(c.Account); err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	return f, nil
}

// Serve answers on the listener until the context ends, then finishes the calls under way. It returns nil after such an end.
func (f *Front) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(f.config.Log.Handler(), slog.LevelWarn)}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ln) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("aws: serve: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return errors.Join(fmt.Errorf("aws: shutdown: %w", err), server.Close())
	}
	return nil
}

// Close releases the connections to moto.
func (f *Front) Close() error {
	f.client.CloseIdleConnections()
	return nil
}

// ServeHTTP authenticates, authorizes, mends and records one call.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := &statusWriter{ResponseWriter: w}
	c, err := f.serve(recorder, r)
	if err != nil {
		f.render(recorder, r, c, err)
	}
	record := Record{Time: f.config.Now(), Principal: c.Principal, Service: c.Service, Action: c.Action, Status: recorder.status}
	var refused *apiError
	if errors.As(err, &refused) {
		record.Error = refused.code
	}
	f.calls.add(record)
}

// serve answers the call, or returns the error that is the answer.
func (f *Front) serve(w http.ResponseWriter, r *http.Request) (Call, error) {
	if strings.HasPrefix(r.URL.Path, "/moto-api") {
		return Call{}, &apiError{status: http.StatusNotFound, code: "UnknownOperationException", message: "AWS has no such operation"}
	}
	c, body, err := f.open(r)
	if err != nil {
		return c, err
	}
	if f.config.Authorize != nil && c.Principal != "" && c.Principal != f.keys.operator {
		if err := f.config.Authorize(r.Context(), c); err != nil {
			return c, accessDenied(r, c, err)
		}
	}
	if body == nil {
		f.proxy.ServeHTTP(w, r)
		return c, nil
	}
	a, err := f.mended(&request{Call: c, ctx: r.Context(), http: r, raw: body})
	if err != nil {
		return c, err
	}
	a.write(w)
	return c, nil
}

// open reads the request and tells who makes which call. The body is nil for services whose requests are streamed.
func (f *Front) open(r *http.Request) (Call, []byte, error) {
	c := Call{}
	c.Service, c.Action, c.Region = f.target(r)
	if c.Service == "s3" {
		principal, err := f.authenticate(r, nil)
		c.Principal = principal
		return c, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return c, nil, &apiError{status: http.StatusBadRequest, code: "RequestTimeout", message: "the request's body ended early"}
	}
	if len(body) > maxBody {
		return c, nil, &apiError{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLargeException", message: "the request is larger than any of this service"}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	c.Body, err = parameters(r, body)
	if err != nil {
		return c, nil, err
	}
	if c.Action == "" {
		c.Action = text(c.Body, "Action")
	}
	if r.Header.Get("Authorization") == "" && unsigned(c) {
		return c, body, nil
	}
	c.Principal, err = f.authenticate(r, body)
	return c, body, err
}

// target tells service, action and region: by X-Amz-Target where there is one, else by the signature's scope.
func (f *Front) target(r *http.Request) (service, action, region string) {
	scope, _ := parseAuthorization(r.Header.Get("Authorization"))
	service, region = scope.service, scope.region
	if region == "" {
		region = f.config.Region
	}
	prefix, operation, found := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !found {
		return service, "", region
	}
	if i := strings.LastIndex(operation, "."); i >= 0 {
		operation = operation[i+1:]
	}
	if name, known := targets[prefix]; known {
		service = name
	}
	return service, operation, region
}

// targets are the services that the front mends, by the prefix of their X-Amz-Target. The scope names the others.
var targets = map[string]string{
	"DynamoDB_20120810":                 "dynamodb",
	"DynamoDBStreams_20120810":          "dynamodb",
	"TrentService":                      "kms",
	"secretsmanager":                    "secretsmanager",
	"AWSCognitoIdentityProviderService": "cognito-idp",
}

// parameters decodes a JSON or query body.
func parameters(r *http.Request, body []byte) (map[string]any, error) {
	kind := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "application/x-amz-json"):
		m := map[string]any{}
		if len(body) == 0 {
			return m, nil
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&m); err != nil {
			return nil, &apiError{status: http.StatusBadRequest, code: "SerializationException", message: "the body is not JSON"}
		}
		return m, nil
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, &apiError{status: http.StatusBadRequest, code: "MalformedQueryString", message: "the body is not a form"}
		}
		m := map[string]any{}
		for name := range form {
			m[name] = form.Get(name)
		}
		return m, nil
	}
	return nil, nil
}

// unsigned tells whether AWS takes the action without a signature: the user pool client operations of "Amazon Cognito user
// pools API and endpoints: list of API operations by authorization model", unauthenticated and token-authorized.
func unsigned(c Call) bool {
	if c.Service != "cognito-idp" {
		return false
	}
	switch c.Action {
	case "SignUp", "ConfirmSignUp", "ResendConfirmationCode", "InitiateAuth", "RespondToAuthChallenge", "ForgotPassword",
		"ConfirmForgotPassword", "RevokeToken", "GetTokensFromRefreshToken", "AssociateSoftwareToken", "VerifySoftwareToken",
		"ChangePassword", "DeleteUser", "DeleteUserAttributes", "ForgetDevice", "GetDevice", "GetUser", "GetUserAuthFactors",
		"GetUserAttributeVerificationCode", "GlobalSignOut", "ListDevices", "SetUserMFAPreference", "SetUserSettings",
		"UpdateDeviceStatus", "UpdateUserAttributes", "VerifyUserAttribute", "ConfirmDevice":
		return true
	}
	return false
}

// mended answers a call that was read whole.
func (f *Front) mended(q *request) (*answer, error) {
	switch q.Service {
	case "dynamodb":
		return f.dynamodb(q)
	case "kms":
		return f.kms(q)
	case "secretsmanager":
		return f.secrets(q)
	case "cognito-idp":
		return f.userPools(q)
	case "sts":
		return f.identity(q)
	}
	return f.forward(q)
}

// rewrite aims a streamed request at moto and leaves the rest of it alone; moto reads the service from its headers.
func (f *Front) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = f.backend.Scheme, f.backend.Host
}

func (f *Front) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	service, action, region := f.target(r)
	f.render(w, r, Call{Service: service, Action: action, Region: region}, f.backendFailure(err))
}

func (f *Front) backendFailure(err error) error {
	f.config.Log.Warn("moto does not answer", "error", err)
	return &apiError{status: http.StatusServiceUnavailable, code: "ServiceUnavailableException", message: "the local store does not answer"}
}
