package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// policyUse says where a policy stands, which decides what it must and must not have.
type policyUse int

const (
	identityPolicy policyUse = iota // on a role: no principal, resources named
	trustPolicy                     // who may assume a role: a principal, no resource
	resourcePolicy                  // on a key, secret, table or API: a principal and resources
)

// policyDocument is a policy as IAM reads it (IAM User Guide, "IAM JSON policy element reference").
type policyDocument struct {
	Version   string     `json:"Version"`
	ID        string     `json:"Id"`
	Statement statements `json:"Statement"`
}

type statements []statement

type statement struct {
	Sid          string                        `json:"Sid"`
	Effect       string                        `json:"Effect"`
	Principal    principals                    `json:"Principal"`
	NotPrincipal principals                    `json:"NotPrincipal"`
	Action       oneOrMore                     `json:"Action"`
	NotAction    oneOrMore                     `json:"NotAction"`
	Resource     oneOrMore                     `json:"Resource"`
	NotResource  oneOrMore                     `json:"NotResource"`
	Condition    map[string]map[string]scalars `json:"Condition"`
}

// oneOrMore is one string or a list of strings.
type oneOrMore []string

// UnmarshalJSON reads either form.
func (t *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = oneOrMore{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return errors.New("must be a string or a list of strings")
	}
	*t = many
	return nil
}

// scalars is the values of a condition: strings, numbers or booleans, one or several.
type scalars []string

// UnmarshalJSON reads either form.
func (s *scalars) UnmarshalJSON(b []byte) error {
	var many []any
	if json.Unmarshal(b, &many) != nil {
		var one any
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		many = []any{one}
	}
	for _, v := range many {
		switch v.(type) {
		case string, float64, bool:
			*s = append(*s, fmt.Sprint(v))
		default:
			return errors.New("a condition value must be a string, a number or a boolean")
		}
	}
	return nil
}

// principals is who a statement is about, by kind; {"*": ["*"]} for everyone.
type principals map[string]oneOrMore

// UnmarshalJSON reads "*" or an object.
func (p *principals) UnmarshalJSON(b []byte) error {
	var star string
	if json.Unmarshal(b, &star) == nil {
		if star != "*" {
			return errors.New(`a principal that is a string must be "*"`)
		}
		*p = principals{"*": {"*"}}
		return nil
	}
	var byKind map[string]oneOrMore
	if err := json.Unmarshal(b, &byKind); err != nil {
		return errors.New("a principal must be \"*\" or an object of strings")
	}
	*p = byKind
	return nil
}

// UnmarshalJSON reads one statement or a list of them.
func (s *statements) UnmarshalJSON(b []byte) error {
	if trimmed := bytes.TrimSpace(b); len(trimmed) > 0 && trimmed[0] == '{' {
		var one statement
		if err := strictJSON(trimmed, &one); err != nil {
			return err
		}
		*s = statements{one}
		return nil
	}
	var many []json.RawMessage
	if err := json.Unmarshal(b, &many); err != nil {
		return errors.New("the Statement must be an object or a list of objects")
	}
	for i, raw := range many {
		var one statement
		if err := strictJSON(raw, &one); err != nil {
			return fmt.Errorf("in Statement[%d]: %w", i, err)
		}
		*s = append(*s, one)
	}
	return nil
}

func strictJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// checkPolicy checks the policy under key: that IAM can read it, that it fits its use and that it is no longer than
// limit characters, white space not counted. Missing, unknown or malformed JSON is left to the table's own check.
func checkPolicy(in bag, key string, use policyUse, limit int) []problem {
	raw := getText(in, key)
	if raw == "" || !json.Valid([]byte(raw)) {
		return nil
	}
	var out []problem
	if n := compactSize(raw); n > limit {
		out = append(out, problemf(key, "has %d characters without white space: AWS allows %d: split it or name fewer resources", n, limit))
	}
	var doc policyDocument
	if err := strictJSON([]byte(raw), &doc); err != nil {
		return append(out, problemf(key, "is not a policy: %v", err))
	}
	if doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		out = append(out, problemf(key, "has Version %q: use 2012-10-17", doc.Version))
	}
	if len(doc.Statement) == 0 {
		out = append(out, problemf(key, "has no Statement"))
	}
	seen := map[string]bool{}
	for i, s := range doc.Statement {
		at := fmt.Sprintf("%s.Statement[%d]", key, i)
		if s.Sid != "" && seen[s.Sid] {
			out = append(out, problemf(at, "repeats Sid %q: a Sid must be unique in its policy", s.Sid))
		}
		seen[s.Sid] = true
		out = append(out, s.check(at, use)...)
	}
	return out
}

var (
	sidForm       = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	actionForm    = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)
	resourceForm  = regexp.MustCompile(`^(\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:.*)$`)
	operatorForm  = regexp.MustCompile(`^(ForAllValues:|ForAnyValue:)?(StringEquals|StringNotEquals|StringEqualsIgnoreCase|StringNotEqualsIgnoreCase|StringLike|StringNotLike|Numeric(Equals|NotEquals|LessThan|LessThanEquals|GreaterThan|GreaterThanEquals)|Date(Equals|NotEquals|LessThan|LessThanEquals|GreaterThan|GreaterThanEquals)|Bool|BinaryEquals|IpAddress|NotIpAddress|Arn(Equals|NotEquals|Like|NotLike))(IfExists)?$|^Null$`)
	principalForm = map[string]*regexp.Regexp{
		"AWS":           regexp.MustCompile(`^(\*|[0-9]{12}|arn:[a-z-]+:(iam|sts)::[0-9]{12}:.+|A[A-Z0-9]{15,})$`),
		"Service":       regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`),
		"Federated":     regexp.MustCompile(`^.+$`),
		"CanonicalUser": regexp.MustCompile(`^[0-9a-f]+$`),
		"*":             regexp.MustCompile(`^\*$`),
	}
)

func (s statement) check(at string, use policyUse) []problem {
	var out []problem
	if s.Effect != "Allow" && s.Effect != "Deny" {
		out = append(out, problemf(at, "has Effect %q: use Allow or Deny", s.Effect))
	}
	if use == identityPolicy && !sidForm.MatchString(s.Sid) {
		out = append(out, problemf(at, "has Sid %q: use letters and digits only", s.Sid))
	}
	if (len(s.Action) > 0) == (len(s.NotAction) > 0) {
		out = append(out, problemf(at, "must have exactly one of Action and NotAction"))
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		if !actionForm.MatchString(a) {
			out = append(out, problemf(at, "has action %q: actions have the form service:Action", a))
		} else if use == trustPolicy && !strings.HasPrefix(a, "sts:") {
			out = append(out, problemf(at, "has action %q: a trust policy may only have actions of sts", a))
		}
	}
	out = append(out, s.checkResources(at, use)...)
	out = append(out, s.checkPrincipals(at, use)...)
	for _, operator := range sortedKeys(s.Condition) {
		if !operatorForm.MatchString(operator) {
			out = append(out, problemf(at, "has condition operator %q, which IAM does not know", operator))
		}
	}
	return out
}

func (s statement) checkResources(at string, use policyUse) []problem {
	named := slices.Concat(s.Resource, s.NotResource)
	if use == trustPolicy {
		if len(named) > 0 {
			return []problem{problemf(at, "has a Resource: a trust policy has none")}
		}
		return nil
	}
	if (len(s.Resource) > 0) == (len(s.NotResource) > 0) {
		return []problem{problemf(at, "must have exactly one of Resource and NotResource")}
	}
	var out []problem
	for _, r := range named {
		// A resource policy may shorten its own resource, as API Gateway's execute-api:/* does.
		if use == identityPolicy && !resourceForm.MatchString(r) {
			out = append(out, problemf(at, "has resource %q: use an ARN or *", r))
		}
	}
	return out
}

func (s statement) checkPrincipals(at string, use policyUse) []problem {
	if use == identityPolicy {
		if len(s.Principal)+len(s.NotPrincipal) > 0 {
			return []problem{problemf(at, "has a Principal: a policy of a role has none")}
		}
		return nil
	}
	if (len(s.Principal) > 0) == (len(s.NotPrincipal) > 0) {
		return []problem{problemf(at, "must have exactly one of Principal and NotPrincipal")}
	}
	var out []problem
	for _, of := range []principals{s.Principal, s.NotPrincipal} {
		for _, kind := range sortedKeys(of) {
			form, ok := principalForm[kind]
			if !ok {
				out = append(out, problemf(at, "has principal kind %q: use AWS, Service or Federated", kind))
				continue
			}
			for _, name := range of[kind] {
				if !form.MatchString(name) {
					out = append(out, problemf(at, "has principal %q, which is not a valid %s principal", name, kind))
				}
			}
		}
	}
	return out
}

// parsePolicy reads a policy that has been checked; nil when there is none.
func parsePolicy(raw string) []statement {
	var doc policyDocument
	if raw == "" || strictJSON([]byte(raw), &doc) != nil {
		return nil
	}
	return doc.Statement
}

// allows says whether the statement allows an action to a principal. Conditions are not weighed.
func (s statement) allows(kind, principal, action string) bool {
	if s.Effect != "Allow" {
		return false
	}
	byAction := slices.ContainsFunc(s.Action, func(pattern string) bool { return wildcard(pattern, action) })
	byPrincipal := slices.Contains(s.Principal[kind], principal) || slices.Contains(s.Principal["*"], "*") ||
		slices.Contains(s.Principal[kind], "*")
	return byAction && byPrincipal
}

// covers says whether the statement of a role's policy allows an action on a resource. Conditions are not weighed.
func (s statement) covers(action, resource string) bool {
	return s.Effect == "Allow" &&
		slices.ContainsFunc(s.Action, func(pattern string) bool { return wildcard(pattern, action) }) &&
		slices.ContainsFunc(s.Resource, func(pattern string) bool { return wildcard(pattern, resource) })
}

// public says whether the statement allows something to everyone without a condition.
func (s statement) public() bool {
	everyone := slices.Contains(s.Principal["*"], "*") || slices.Contains(s.Principal["AWS"], "*")
	return s.Effect == "Allow" && everyone && len(s.Condition) == 0
}

// wildcard matches an IAM pattern with * and ?, without regard to case, as actions are.
func wildcard(pattern, name string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, `.*`), `\?`, `.`)
	matched, err := regexp.MatchString(`(?i)^`+quoted+`$`, name)
	return err == nil && matched
}
