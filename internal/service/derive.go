package service

import (
	"slices"
	"strings"
)

// Kind is what a statement's resource is.
type Kind string

// The kinds of resource that a function is given access to.
const (
	KindTable    Kind = "table"
	KindIndex    Kind = "index"
	KindSecret   Kind = "secret"
	KindKey      Kind = "key"
	KindUserPool Kind = "user-pool"
	KindQueue    Kind = "queue"
	KindStream   Kind = "stream"   // of the table of that name
	KindFailures Kind = "failures" // the queue of what the function of that name failed for good
	KindEmail    Kind = "email"    // the environment's one sender
	KindPush     Kind = "push"     // devices that are registered with the environment's push applications
	KindAny      Kind = "any"      // every resource: the action knows no narrower one
)

// Resource is a symbolic resource: the stacks bind it to an ARN.
type Resource struct {
	Kind  Kind
	Name  string // of the table, secret, key, queue or function; empty for the other kinds
	Index string // of an index
}

// Statement is an allowance of exact actions on one resource.
type Statement struct {
	Resource Resource
	Actions  []string // sorted, with their service prefix
	Reason   string
}

// keyActions are what envelope encryption calls: a fresh data key, and its unwrapping.
// Source: AWS KMS Developer Guide, "Data keys".
var keyActions = []string{"kms:Decrypt", "kms:GenerateDataKey"}

// Statements derives what a function's role may do, sorted by resource: what the function calls, and what Lambda does
// in its name to read what invokes it. What every function needs for its own log group and traces is the component's
// business and not listed.
func Statements(f Function) []Statement { return merged(append(calls(f), polls(f)...)) }

// calls are the statements of what the function itself does.
func calls(f Function) []Statement {
	var all []Statement
	for _, a := range f.Tables {
		kind := KindTable
		if a.Index != "" {
			kind = KindIndex
		}
		all = append(all, Statement{Resource{kind, a.Table, a.Index}, prefixed("dynamodb", a.Actions), a.Reason})
	}
	for _, s := range f.Secrets {
		all = append(all, Statement{Resource: Resource{Kind: KindSecret, Name: s}, Actions: []string{"secretsmanager:GetSecretValue"}})
	}
	for _, k := range f.Keys {
		all = append(all, Statement{Resource: Resource{Kind: KindKey, Name: k}, Actions: slices.Clone(keyActions)})
	}
	if len(f.UserPool) > 0 {
		all = append(all, Statement{Resource: Resource{Kind: KindUserPool}, Actions: prefixed("cognito-idp", f.UserPool)})
	}
	return append(all, sends(f)...)
}

// merged joins the statements of one resource into one and sorts by resource.
func merged(statements []Statement) []Statement {
	slices.SortStableFunc(statements, func(a, b Statement) int { return strings.Compare(a.Resource.String(), b.Resource.String()) })
	var all []Statement
	for _, s := range statements {
		if n := len(all); n > 0 && all[n-1].Resource == s.Resource {
			last := &all[n-1]
			last.Actions = append(last.Actions, s.Actions...)
			slices.Sort(last.Actions)
			last.Reason = strings.TrimSpace(last.Reason + " " + s.Reason)
			continue
		}
		all = append(all, s)
	}
	return all
}

// String is the resource's symbolic name: kind:name or index:table/index.
func (r Resource) String() string {
	s := string(r.Kind)
	if r.Name != "" {
		s += ":" + r.Name
	}
	if r.Index != "" {
		s += "/" + r.Index
	}
	return s
}

// Services lists the AWS services that a function calls, sorted: what an endpoint is needed for in a private network.
func Services(f Function) []string {
	var all []string
	for _, s := range calls(f) {
		for _, a := range s.Actions {
			all = append(all, a[:strings.IndexByte(a, ':')])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Variable is an environment variable of a function that names a resource or carries a limit.
type Variable struct {
	Name     string
	Resource Resource // what it names; zero for a limit
	Limit    Limit    // whose numbers it carries, as limit/seconds
	Client   bool     // the user pool's client id instead of its pool id
}

// Environment derives the variables that a function needs, sorted by name.
func Environment(f Function) []Variable {
	var all []Variable
	for _, r := range resources(f) {
		switch r.Kind {
		case KindTable:
			all = append(all, Variable{Name: TableVariable(r.Name), Resource: r})
		case KindSecret:
			all = append(all, Variable{Name: SecretVariable(r.Name), Resource: r})
		case KindKey:
			all = append(all, Variable{Name: KeyVariable(r.Name), Resource: r})
		case KindUserPool:
			all = append(all, Variable{Name: UserPoolVariable, Resource: r},
				Variable{Name: UserPoolClientVariable, Resource: r, Client: true})
		case KindQueue:
			all = append(all, Variable{Name: QueueVariable(r.Name), Resource: r})
		case KindEmail:
			all = append(all, Variable{Name: EmailVariable, Resource: r})
		}
	}
	for _, l := range Limits(f) {
		all = append(all, Variable{Name: LimitVariable(l), Limit: l})
	}
	slices.SortFunc(all, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// resources lists what a function calls, an index through its table, without repetition.
func resources(f Function) []Resource {
	var all []Resource
	for _, s := range merged(calls(f)) {
		r := s.Resource
		if r.Kind == KindIndex {
			r = Resource{Kind: KindTable, Name: r.Name}
		}
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Limits lists the classes of caller limit that a function enforces, sorted.
func Limits(f Function) []Limit {
	var all []Limit
	for _, r := range f.Routes {
		switch r.Limit {
		case LimitNone:
		case LimitAuth:
			all = append(all, LimitAuth, LimitAuthIP)
		default:
			all = append(all, r.Limit)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Names of environment variables, the same for the deployment and the function.
const (
	EnvironmentVariable    = "EXPENZEZ_ENVIRONMENT"
	IssuerVariable         = "TOKEN_ISSUER"
	UserPoolVariable       = "USER_POOL_ID"
	UserPoolClientVariable = "USER_POOL_CLIENT_ID"
	EmailVariable          = "EMAIL_FROM"
)

// TableVariable names the variable that holds a table's physical name.
func TableVariable(key string) string { return "TABLE_" + upper(key) }

// SecretVariable names the variable that holds a secret's ARN; the value itself is never in the environment.
func SecretVariable(key string) string { return "SECRET_ARN_" + upper(key) }

// KeyVariable names the variable that holds a KMS key's ARN.
func KeyVariable(key string) string { return "KEY_ARN_" + upper(key) }

// QueueVariable names the variable that holds the URL of a queue that the function sends to.
func QueueVariable(key string) string { return "QUEUE_URL_" + upper(key) }

// LimitVariable names the variable that holds a limit's numbers as limit/seconds, for example 5/300.
func LimitVariable(l Limit) string { return "LIMIT_" + upper(string(l)) }

func upper(key string) string { return strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

func prefixed(service string, actions []string) []string {
	all := make([]string, len(actions))
	for i, a := range actions {
		all[i] = service + ":" + a
	}
	slices.Sort(all)
	return all
}

// Function finds a function of the service by its key.
func (s Service) Function(key string) (Function, bool) {
	i := slices.IndexFunc(s.Functions, func(f Function) bool { return f.Key == key })
	if i < 0 {
		return Function{}, false
	}
	return s.Functions[i], true
}

// Functions lists every declared function in order of declaration.
func (b Backend) Functions() []Function {
	var all []Function
	for _, s := range b.Services {
		all = append(all, s.Functions...)
	}
	return all
}

// Operations maps each operationId of the API to the key of the function that answers it.
func (b Backend) Operations() map[string]string {
	all := map[string]string{}
	for _, f := range b.Functions() {
		for _, r := range f.Routes {
			all[r.ID] = f.Key
		}
	}
	return all
}
