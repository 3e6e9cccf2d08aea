package service

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// dynamoActions are the item actions a declaration may name. Scan and the PartiQL actions are left out: no function
// needs them, and each reads whole tables. Source: Service Authorization Reference, "Actions for Amazon DynamoDB".
var dynamoActions = []string{"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"}

// userPoolActions are the Cognito actions a declaration may name.
// Source: Service Authorization Reference, "Actions for Amazon Cognito User Pools".
var userPoolActions = []string{"AdminDeleteUser", "AdminGetUser", "AdminInitiateAuth", "AdminRespondToAuthChallenge", "AdminUserGlobalSignOut", "DescribeUserPoolClient"}

// edgeBody is how large a body passes the edge at all: 1 MB.
const edgeBody = 1 << 20

var (
	keyPattern  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	pathPattern = regexp.MustCompile(`^(/([A-Za-z0-9._-]+|\{[a-z][A-Za-z0-9]*\}))+$`)
	idPattern   = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
)

// Validate checks a declaration completely and reports every problem at once, each with its place.
func Validate(b Backend) error {
	v := &checker{tables: map[string]Table{}, seen: map[string]bool{}}
	for _, t := range b.Tables {
		v.table(t)
	}
	for _, s := range b.Secrets {
		v.key("secret", s.Key)
	}
	for _, k := range b.Keys {
		v.key("key", k.Key)
	}
	for _, q := range b.Queues {
		v.queue(b, q)
	}
	for _, s := range b.Services {
		v.key("service", s.Key)
		if len(s.Functions) == 0 {
			v.problem("service %s: has no function", s.Key)
		}
		for _, f := range s.Functions {
			v.function(f)
		}
	}
	v.triggers(b)
	if v.authorizers > 1 {
		v.problem("backend: %d functions authorize; an API has one authorizer", v.authorizers)
	}
	if v.authorizers == 0 && v.needsUser {
		v.problem("backend: routes need a user but no function authorizes")
	}
	return errors.Join(v.problems...)
}

// CheckIdempotency holds the rule that a POST takes effect once however often it is sent: each is Idempotent, or in the list
// of exempt operations with the reason why not. Nothing else is in that list, and only a POST is Idempotent: other methods
// are so by themselves (RFC 9110 §9.2.2), or name the version that they change. It reports every problem at once.
func CheckIdempotency(b Backend, exempt map[string]string) error {
	var problems []error
	problem := func(id, what string) { problems = append(problems, fmt.Errorf("route %s: %s", id, what)) }
	posts := map[string]bool{}
	for _, f := range b.Functions() {
		for _, r := range f.Routes {
			reason, listed := exempt[r.ID]
			posts[r.ID] = r.Method == "POST"
			switch {
			case r.Method != "POST" && r.Idempotent:
				problem(r.ID, r.Method+" takes no Idempotency-Key")
			case r.Method != "POST":
			case r.Idempotent && listed:
				problem(r.ID, "is idempotent and exempt from being so")
			case !r.Idempotent && !listed:
				problem(r.ID, "a POST is idempotent, or exempt by name with a reason")
			case listed && strings.TrimSpace(reason) == "":
				problem(r.ID, "is exempt without a reason")
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(exempt)) {
		if !posts[id] {
			problem(id, "is exempt, but there is no such POST")
		}
	}
	return errors.Join(problems...)
}

type checker struct {
	tables      map[string]Table
	seen        map[string]bool // kind and name of everything that must be unique
	models      map[string]string
	authorizers int
	needsUser   bool
	problems    []error
}

func (v *checker) problem(format string, args ...any) {
	v.problems = append(v.problems, fmt.Errorf(format, args...))
}

func (v *checker) unique(kind, name string) {
	if v.seen[kind+" "+name] {
		v.problem("%s %s: declared twice", kind, name)
	}
	v.seen[kind+" "+name] = true
}

func (v *checker) key(kind, key string) {
	if !keyPattern.MatchString(key) {
		v.problem("%s %q: a key is lower-case words joined by dashes", kind, key)
	}
	v.unique(kind, key)
}

func (v *checker) table(t Table) {
	v.key("table", t.Key)
	v.tables[t.Key] = t
	if t.Hash == "" {
		v.problem("table %s: has no hash key", t.Key)
	}
	for _, i := range t.Indexes {
		v.unique("index", t.Key+"/"+i.Key)
		if i.Hash == "" {
			v.problem("index %s/%s: has no hash key", t.Key, i.Key)
		}
	}
}

func (v *checker) function(f Function) {
	v.key("function", f.Key)
	if f.Size == "" {
		v.problem("function %s: has no size", f.Key)
	}
	if f.Authorizes {
		v.authorizers++
	}
	v.trigger(f)
	v.accesses(f)
	v.references(f, "secret", f.Secrets)
	v.references(f, "key", f.Keys)
	for _, a := range f.UserPool {
		if !slices.Contains(userPoolActions, a) {
			v.problem("function %s: user pool action %q is not one of %s", f.Key, a, strings.Join(userPoolActions, ", "))
		}
	}
	for _, r := range f.Routes {
		v.route(f, r)
	}
}

func (v *checker) references(f Function, kind string, names []string) {
	for _, n := range names {
		if !v.seen[kind+" "+n] {
			v.problem("function %s: %s %q is not declared", f.Key, kind, n)
		}
	}
}

func (v *checker) accesses(f Function) {
	granted := map[string]bool{}
	for _, a := range f.Tables {
		at := fmt.Sprintf("function %s, table %s", f.Key, a.Table)
		t, ok := v.tables[a.Table]
		if !ok {
			v.problem("%s: is not declared", at)
			continue
		}
		if a.Index != "" && !slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Key == a.Index }) {
			v.problem("%s: has no index %q", at, a.Index)
		}
		if len(a.Actions) == 0 {
			v.problem("%s: names no action", at)
		}
		for _, action := range a.Actions {
			switch key := a.Table + "/" + a.Index + ":" + action; {
			case !slices.Contains(dynamoActions, action):
				v.problem("%s: action %q is not one of %s", at, action, strings.Join(dynamoActions, ", "))
			case a.Index != "" && action != "Query":
				v.problem("%s: an index is only queried, not %s", at, action)
			case granted[key]:
				v.problem("%s: %s is declared twice", at, action)
			default:
				granted[key] = true
			}
		}
	}
}

func (v *checker) route(f Function, r Route) {
	at := fmt.Sprintf("function %s, route %s", f.Key, r.ID)
	v.unique("route", r.ID)
	v.unique("operation", r.Method+" "+r.Path)
	if !idPattern.MatchString(r.ID) {
		v.problem("%s: an id is a lower camel case name", at)
	}
	if !pathPattern.MatchString(r.Path) {
		v.problem("%s: path %q is not /literal or /{parameter} segments", at, r.Path)
	}
	if !slices.Contains([]string{"DELETE", "GET", "PATCH", "POST", "PUT"}, r.Method) {
		v.problem("%s: method %q is not one of DELETE, GET, PATCH, POST, PUT", at, r.Method)
	}
	_, public := r.Caller.IsPublic()
	v.needsUser = v.needsUser || !public
	if r.Limit == LimitNone && (!public || r.Method != "GET") {
		v.problem("%s: only a public GET may go without a caller limit", at)
	}
	if r.LimitBy != "" && (!public || r.Request == nil || !slices.ContainsFunc(r.Request.Fields, func(x Field) bool { return x.Name == r.LimitBy && x.Required })) {
		v.problem("%s: LimitBy names a required request field of a public route", at)
	}
	if (r.Request != nil) && (r.Method == "GET" || r.Method == "DELETE") {
		v.problem("%s: %s carries no request body", at, r.Method)
	}
	if r.MaxBody != 0 && (r.Request == nil || r.MaxBody < 1 || r.MaxBody > edgeBody) {
		v.problem("%s: MaxBody is 1 to %d bytes of a request body", at, edgeBody)
	}
	if (r.Response == nil) != (r.Status == 204) {
		v.problem("%s: a status of 204 has no response model, every other has one", at)
	}
	if r.Status < 200 || r.Status > 299 {
		v.problem("%s: status %d is not a success", at, r.Status)
	}
	v.model(at, r.Request)
	v.model(at, r.Response)
	for _, q := range r.Query {
		v.field(at+", query", q)
	}
}

// model checks a model once for each distinct content; two models may not share a name. API Gateway's rule for
// names is letters and digits (API Reference, CreateModel).
func (v *checker) model(at string, m *Model) {
	if m == nil {
		return
	}
	if v.models == nil {
		v.models = map[string]string{}
	}
	content := fmt.Sprint(schema(*m))
	if other, ok := v.models[m.Name]; ok {
		if other != content {
			v.problem("%s: model %s is declared twice with different fields", at, m.Name)
		}
		return
	}
	v.models[m.Name] = content
	if !regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`).MatchString(m.Name) || strings.HasPrefix(m.Name, problem.Name) {
		v.problem("%s: model name %q is not an upper camel case name of its own", at, m.Name)
	}
	names := map[string]bool{}
	for _, f := range m.Fields {
		if names[f.Name] {
			v.problem("%s: model %s has two fields %q", at, m.Name, f.Name)
		}
		names[f.Name] = true
		v.field(at+", model "+m.Name, f)
		v.model(at, f.Model)
	}
}

func (v *checker) field(at string, f Field) {
	if f.Name == "" {
		v.problem("%s: a field has no name", at)
	}
	if !slices.Contains([]Type{String, Integer, Boolean, Array, Object}, f.Type) {
		v.problem("%s: field %s has type %q", at, f.Name, f.Type)
	}
	if (f.Model != nil) != (f.Type == Array || f.Type == Object) {
		v.problem("%s: field %s needs a model exactly when it is an array or object", at, f.Name)
	}
	if (f.Pattern != "" || len(f.Enum) > 0) && f.Type != String {
		v.problem("%s: field %s has a pattern or enum but is no string", at, f.Name)
	}
	if _, err := regexp.Compile(f.Pattern); err != nil {
		v.problem("%s: field %s: %w", at, f.Name, err)
	}
	if f.Max != 0 && f.Min > f.Max {
		v.problem("%s: field %s has a minimum above its maximum", at, f.Name)
	}
}
