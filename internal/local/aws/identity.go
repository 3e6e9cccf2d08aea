package aws

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

type identityResult struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Arn     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
}

type assumeResult struct {
	XMLName xml.Name  `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
	ID      string    `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
	Secret  string    `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
	Token   string    `xml:"AssumeRoleResult>Credentials>SessionToken"`
	Expires time.Time `xml:"AssumeRoleResult>Credentials>Expiration"`
	UserID  string    `xml:"AssumeRoleResult>AssumedRoleUser>AssumedRoleId"`
	Arn     string    `xml:"AssumeRoleResult>AssumedRoleUser>Arn"`
}

// sessionName is the pattern of RoleSessionName ("AssumeRole", STS API reference).
var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// identity tells callers who they are, and lets them become another: moto does not know the front's credentials, nor the
// front moto's ("GetCallerIdentity", "AssumeRole", STS API reference). Trust policies are not asked; Config.Authorize is.
func (f *Front) identity(q *request) (*answer, error) {
	switch q.Action {
	case "GetCallerIdentity":
		arn, id := f.assumed(q.Principal, "local")
		return xmlAnswer(identityResult{Arn: arn, UserID: id, Account: f.config.Account})
	case "AssumeRole":
		return f.assumeRole(q)
	}
	return f.forward(q)
}

func (f *Front) assumeRole(q *request) (*answer, error) {
	role, name := text(q.Body, "RoleArn"), text(q.Body, "RoleSessionName")
	if !sessionName.MatchString(name) {
		return nil, refuse("ValidationError", "Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*")
	}
	id, secret, token, err := f.Credentials(q.ctx, role)
	if err != nil {
		return nil, refuse("ValidationError", "%s is invalid", role)
	}
	arn, user := f.assumed(role, name)
	return xmlAnswer(assumeResult{ID: id, Secret: secret, Token: token, Expires: f.config.Now().Add(sessionTime).UTC(), UserID: user, Arn: arn})
}

// assumed is a role's session as STS names it; a principal that is no role is itself.
func (f *Front) assumed(principal, session string) (arn, id string) {
	_, role, found := strings.Cut(principal, ":role/")
	if !found {
		return principal, "AIDALOCALOPERATOR"
	}
	name := role[strings.LastIndex(role, "/")+1:] + "/" + session
	return "arn:aws:sts::" + f.config.Account + ":assumed-role/" + name, "AROALOCALROLE:" + session
}

func xmlAnswer(result any) (*answer, error) {
	body, err := xml.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/xml"}}, body: body}, nil
}
