package service

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one line of the access matrix: a function may perform an action on a resource.
type Row struct {
	Function string
	Action   string // with its service prefix
	Resource string // symbolic name
	Reason   string
}

// Matrix derives the access matrix of the declaration, sorted.
func Matrix(b Backend) []Row {
	var all []Row
	for _, f := range b.Functions() {
		for _, s := range Statements(f) {
			for _, a := range s.Actions {
				all = append(all, Row{f.Key, a, s.Resource.String(), s.Reason})
			}
		}
	}
	slices.SortFunc(all, func(a, c Row) int {
		return strings.Compare(a.Function+"\x00"+a.Resource+"\x00"+a.Action, c.Function+"\x00"+c.Resource+"\x00"+c.Action)
	})
	return all
}

// AccessDocument renders the routes and the access matrix as the Markdown of ACCESS.md.
func AccessDocument(b Backend) string {
	var w strings.Builder
	w.WriteString(`# Who can do what

Derived from the declaration; compared with it, and with the policies that the engine registers, on every test run.
Not covered here: what every function may do for itself (write to its own log group, send its own traces, use the
keys of tables, secrets and queues through DynamoDB, Secrets Manager and SQS), what a schedule's role may do (invoke its
function, keep what failed), and the identity that deploys.

## Routes

| operation | route | caller | caller limit | function |
| --- | --- | --- | --- | --- |
`)
	for _, f := range b.Functions() {
		for _, r := range f.Routes {
			fmt.Fprintf(&w, "| %s | `%s %s` | %s | %s | %s |\n", r.ID, r.Method, r.Path, callerText(r), limitText(r), f.Key)
		}
	}
	w.WriteString("\nThe gateway throttles all callers together; the caller limit is enforced by the function, per subject and route.\n")
	w.WriteString(triggersText(b))
	w.WriteString("\n## Access\n")
	for _, f := range b.Functions() {
		fmt.Fprintf(&w, "\n### %s\n\n%s", f.Key, f.Does)
		switch services := Services(f); {
		case f.Internet != "":
			fmt.Fprintf(&w, " It reaches the internet: %s", f.Internet)
		case len(services) == 0:
			w.WriteString(" It reaches no network.")
		default:
			fmt.Fprintf(&w, " It reaches no network but %s.", strings.Join(services, ", "))
		}
		w.WriteString("\n\n| resource | actions | reason |\n| --- | --- | --- |\n")
		for _, s := range Statements(f) {
			fmt.Fprintf(&w, "| %s | %s | %s |\n", s.Resource, strings.Join(s.Actions, ", "), s.Reason)
		}
	}
	return w.String()
}

func callerText(r Route) string {
	if reason, ok := r.Caller.IsPublic(); ok {
		return "anyone: " + reason
	}
	return "user"
}

func limitText(r Route) string {
	switch {
	case r.Limit == LimitNone:
		return "none"
	case r.LimitBy != "":
		return fmt.Sprintf("%s by %s", r.Limit, r.LimitBy)
	default:
		return string(r.Limit)
	}
}
