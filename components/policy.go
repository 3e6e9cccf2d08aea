package components

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Condition is one condition of a grant: Test is an operator such as
// "StringEquals", Key a condition key, and one of Values has to match.
type Condition struct {
	Test   string
	Key    string
	Values []Text
}

// Grant allows actions on resources. A role refuses a grant that names an
// unknown action, a wildcard action, or a resource with a wildcard that is not
// excused by a reason, so a mistake in a grant never reaches AWS.
type Grant struct {
	// Actions are IAM action names with their service: "dynamodb:GetItem".
	Actions []string
	// Resources are exact ARNs.
	Resources []Text
	// Conditions all have to hold.
	Conditions []Condition
	// Reason excuses a wildcard resource, and is shown in the access matrix.
	Reason string

	problem string // what was wrong when a component made the grant
}

// statement is one statement of any policy document.
type statement struct {
	Sid        string
	Effect     string // "Allow" when empty
	Principal  map[string]string
	Actions    []string
	Resources  []Text
	Conditions []Condition
}

// everyone is the principal "*", written in the form that all services take.
func everyone() map[string]string { return map[string]string{"AWS": "*"} }

func known(values ...string) []Text {
	texts := make([]Text, len(values))
	for i, v := range values {
		texts[i] = Known(v)
	}
	return texts
}

// document is the canonical JSON of a policy: keys and lists sorted, no
// whitespace, so that equal policies are equal strings.
func document(statements []statement, resolve func(Text) string) string {
	list := make([]any, len(statements))
	for i, s := range statements {
		list[i] = s.value(resolve)
	}
	return canonicalJSON(map[string]any{"Version": "2012-10-17", "Statement": list})
}

func (s statement) value(resolve func(Text) string) map[string]any {
	v := map[string]any{"Effect": "Allow", "Action": sortedUnique(s.Actions)}
	if s.Effect != "" {
		v["Effect"] = s.Effect
	}
	if s.Sid != "" {
		v["Sid"] = s.Sid
	}
	if s.Principal != nil {
		v["Principal"] = s.Principal
	}
	if len(s.Resources) > 0 {
		v["Resource"] = resolveAll(s.Resources, resolve)
	}
	if len(s.Conditions) > 0 {
		conditions := map[string]map[string][]string{}
		for _, c := range s.Conditions {
			if conditions[c.Test] == nil {
				conditions[c.Test] = map[string][]string{}
			}
			conditions[c.Test][c.Key] = resolveAll(c.Values, resolve)
		}
		v["Condition"] = conditions
	}
	return v
}

func resolveAll(texts []Text, resolve func(Text) string) []string {
	values := make([]string, len(texts))
	for i, t := range texts {
		values[i] = resolve(t)
	}
	return sortedUnique(values)
}

func sortedUnique(values []string) []string {
	s := slices.Clone(values)
	slices.Sort(s)
	return slices.Compact(s)
}

// canonicalJSON marshals maps with sorted keys and without escaping < > &.
func canonicalJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("components: encode %T: %v", v, err)) // only maps, lists and strings come here
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func shapeOf(t Text) string { return t.shape }

// policyInput is the document as an input: a plain string when everything in
// it is known, else an output that waits for what is pending.
func policyInput(statements []statement) pulumi.StringInput {
	var pending []any
	shape := document(statements, func(t Text) string {
		if t.pending {
			pending = append(pending, t.value)
		}
		return t.shape
	})
	if len(pending) == 0 {
		return pulumi.String(shape)
	}
	return pulumi.All(pending...).ApplyT(func(values []any) (string, error) {
		i := -1
		var bad error
		doc := document(statements, func(t Text) string {
			if !t.pending {
				return t.shape
			}
			i++
			value, _ := values[i].(string)
			if err := t.admits(value); err != nil && bad == nil {
				bad = err
			}
			return value
		})
		return doc, bad
	}).(pulumi.StringOutput)
}

// admits checks a value that has become known against the shape that the
// checks before deployment relied on.
func (t Text) admits(value string) error {
	switch {
	case value == "":
		return fmt.Errorf("policy: the value for %s is empty", t)
	case len(value) > len(t.shape):
		return fmt.Errorf("policy: %q is longer than its shape %s: give Pending a longer shape", value, t)
	case strings.ContainsAny(value, "*?") && !strings.ContainsAny(t.shape, "*?"):
		return fmt.Errorf("policy: %q has a wildcard that its shape %s has not: give Pending the true shape", value, t)
	}
	return nil
}
