package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// statement is one of an authorizer's policy.
type statement struct {
	Effect                  string
	Action, Resource        oneOrMore
	Condition               map[string]any
	NotAction               any
	NotResource             any
	Principal, NotPrincipal any
}

// statements and oneOrMore may be written as one value or a list (IAM User Guide, "Grammar of the IAM JSON policy
// language").
type (
	statements []statement
	oneOrMore  []string
)

// UnmarshalJSON reads one statement or a list.
func (s *statements) UnmarshalJSON(data []byte) error {
	list, err := oneOrList[statement](data)
	*s = list
	return err
}

// UnmarshalJSON reads one text or a list.
func (s *oneOrMore) UnmarshalJSON(data []byte) error {
	list, err := oneOrList[string](data)
	*s = list
	return err
}

func oneOrList[T any](data []byte) ([]T, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		var list []T
		err := json.Unmarshal(data, &list)
		return list, err
	}
	var one T
	err := json.Unmarshal(data, &one)
	return []T{one}, err
}

// checkStatements reports what is malformed, and conditions and negated elements, which are not evaluated here.
func checkStatements(list []statement) error {
	for i, s := range list {
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return fmt.Errorf("statement %d: Effect is neither Allow nor Deny", i)
		case len(s.Condition) > 0 || s.NotAction != nil || s.NotResource != nil || s.Principal != nil || s.NotPrincipal != nil:
			return fmt.Errorf("statement %d: Condition, NotAction, NotResource and Principal are not emulated", i)
		case len(s.Action) == 0 || len(s.Resource) == 0:
			return fmt.Errorf("statement %d: it has no Action or no Resource", i)
		}
	}
	return nil
}

// judge evaluates the policy for execute-api:Invoke on the method: a Deny that matches wins, then an Allow is needed.
// Messages: AWS re:Post, "HTTP 403 Forbidden errors when using a Lambda authorizer with an API Gateway REST API".
func judge(list []statement, methodARN string) *fault {
	allowed := false
	for _, s := range list {
		if !s.matches(methodARN) {
			continue
		}
		if s.Effect == "Deny" {
			return &fault{kind: accessDenied, message: facts(accessDenied).message + " with an explicit deny"}
		}
		allowed = true
	}
	if !allowed {
		return &fault{kind: accessDenied}
	}
	return nil
}

func (s statement) matches(methodARN string) bool {
	action, resource := false, false
	for _, pattern := range s.Action {
		action = action || glob(strings.ToLower(pattern), "execute-api:invoke")
	}
	for _, pattern := range s.Resource {
		resource = resource || glob(pattern, methodARN)
	}
	return action && resource
}
