// Package environ reads what the deployment tells a function: names of resources and numbers of limits, under the
// variables that the declaration derives. Secrets are never among it.
package environ

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expenzez/aws-backend/internal/service"
)

// Variables that the declaration does not derive from a function's accesses.
const (
	// OriginsVariable lists the web origins that may call the API from a browser, separated by commas. Functions with
	// routes need it; empty means that no browser may.
	OriginsVariable = "ALLOWED_ORIGINS"
	// LimiterBudgetVariable is how many milliseconds counting a request may take. It is optional: the limiter's own
	// default is right for DynamoDB in the same region.
	LimiterBudgetVariable = "LIMITER_BUDGET_MS"
)

// Limit is the numbers of a caller limit: at most Max requests in any window of Per.
type Limit struct {
	Max int
	Per time.Duration
}

// Values is what a function was told. Its methods take the declaration's keys.
type Values struct {
	Environment    string
	Issuer         string // of access tokens; empty where the function neither makes nor checks any
	Origins        []string
	Limits         map[service.Limit]Limit
	LimiterBudget  time.Duration // 0: not told
	UserPool       string
	UserPoolClient string
	EmailFrom      string            // the address that email is sent from; empty where the function sends none
	names          map[string]string // by variable
}

// Table is the physical name of a table.
func (v Values) Table(key string) string { return v.names[service.TableVariable(key)] }

// Secret is the ARN of a secret.
func (v Values) Secret(key string) string { return v.names[service.SecretVariable(key)] }

// Key is the ARN of a KMS key.
func (v Values) Key(key string) string { return v.names[service.KeyVariable(key)] }

// Queue is the URL of a queue that the function sends to; empty for any other queue.
func (v Values) Queue(key string) string { return v.names[service.QueueVariable(key)] }

// Read takes what function f needs from lookup (os.LookupEnv, or a map in tests). The error names every variable that
// is missing, empty or not understood; a function that gets one does not start.
func Read(f service.Function, lookup func(string) (string, bool)) (Values, error) {
	r := &reader{lookup: lookup}
	v := Values{Limits: map[service.Limit]Limit{}, names: map[string]string{}}
	v.Environment = r.need(service.EnvironmentVariable)
	if f.Authorizes || slices.Contains(f.Secrets, "jwt") {
		v.Issuer = r.need(service.IssuerVariable)
	}
	if len(f.Routes) > 0 {
		v.Origins = r.list(OriginsVariable)
	}
	for _, x := range service.Environment(f) {
		switch {
		case x.Limit != service.LimitNone:
			v.Limits[x.Limit] = r.limit(x.Name)
		default:
			v.names[x.Name] = r.need(x.Name)
		}
	}
	v.UserPool, v.UserPoolClient = v.names[service.UserPoolVariable], v.names[service.UserPoolClientVariable]
	v.EmailFrom = v.names[service.EmailVariable]
	v.LimiterBudget = r.milliseconds(LimiterBudgetVariable)
	if len(r.problems) > 0 {
		return Values{}, fmt.Errorf("%s cannot start, its environment is not as deployed: %w", f.Key, errors.Join(r.problems...))
	}
	return v, nil
}

type reader struct {
	lookup   func(string) (string, bool)
	problems []error
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

func (r *reader) need(name string) string {
	text, _ := r.lookup(name)
	if text == "" {
		r.problem("%s is missing", name)
	}
	return text
}

// list reads a variable that must be there and may be empty.
func (r *reader) list(name string) []string {
	text, ok := r.lookup(name)
	if !ok {
		r.problem("%s is missing; an empty value means none", name)
	}
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// limit reads limit/seconds, for example 5/300.
func (r *reader) limit(name string) Limit {
	text := r.need(name)
	limit, per, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(limit)
	seconds, err2 := strconv.Atoi(per)
	if text != "" && (err != nil || err2 != nil || n < 1 || seconds < 1) {
		r.problem("%s is %q, not limit/seconds like 5/300", name, text)
	}
	return Limit{Max: n, Per: time.Duration(seconds) * time.Second}
}

func (r *reader) milliseconds(name string) time.Duration {
	text, ok := r.lookup(name)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 10_000 {
		r.problem("%s is %q, not a number of milliseconds from 1 to 10000", name, text)
	}
	return time.Duration(n) * time.Millisecond
}
