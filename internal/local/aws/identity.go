package aws

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

type identityResult struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Arn     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
}

// identity tells callers who they are: moto does not know the front's credentials ("GetCallerIdentity", STS API reference).
func (f *Front) identity(q *request) (*answer, error) {
	if q.Action != "GetCallerIdentity" {
		return f.forward(q)
	}
	result := identityResult{Arn: q.Principal, UserID: "AIDALOCALOPERATOR", Account: f.config.Account}
	if _, role, found := strings.Cut(q.Principal, ":role/"); found {
		name := role[strings.LastIndex(role, "/")+1:]
		result.Arn = "arn:aws:sts::" + f.config.Account + ":assumed-role/" + name + "/local"
		result.UserID = "AROALOCALROLE:" + name
	}
	body, err := xml.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/xml"}}, body: body}, nil
}
