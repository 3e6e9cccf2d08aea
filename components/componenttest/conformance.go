package componenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/internal/golden"
)

// Needed begins the logical names of resources that a Build registers only
// because the component under test needs them.
const Needed = "needed"

// Build makes the component under test, and what it needs.
type Build func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error)

// Tags are what Case.Full has to give the component.
func Tags() map[string]string {
	return map[string]string{"Project": "expenzez", "Environment": "test", "Service": "conformance"}
}

// Expect is an input that a component's child must have.
type Expect struct {
	Type  string // "aws:kms/key:Key"
	Path  string // "pointInTimeRecovery.enabled"
	Value any    // nil: the input is not set
}

// Bad is a component with wrong arguments.
type Bad struct {
	Name      string
	Build     Build
	Arguments []string // paths of the arguments that have to be reported, all at once; in any order
}

// Case is a component under test.
type Case struct {
	Type    string   // "EncryptedTable"
	Full    Build    // sets every argument, and Tags()
	Least   Build    // sets required arguments only
	Safe    []Expect // of Least: what the zero values have to mean
	Applied []Expect // of Full: what the arguments have to become
	Outputs []string // names of the registered outputs, sorted
	Bad     []Bad
}

func (c Case) token() string { return "expenzez:components:" + c.Type }

// Run holds a component to what every component promises.
func Run(t *testing.T, c Case) {
	t.Helper()
	t.Run("children", func(t *testing.T) { t.Parallel(); c.children(t) })
	t.Run("zero values are safe", func(t *testing.T) { t.Parallel(); c.expect(t, c.Least, c.Safe) })
	t.Run("arguments arrive", func(t *testing.T) { t.Parallel(); c.expect(t, c.Full, c.Applied) })
	t.Run("stable", func(t *testing.T) { t.Parallel(); c.stable(t) })
	t.Run("preview decides as update does", func(t *testing.T) { t.Parallel(); c.preview(t) })
	t.Run("options", func(t *testing.T) { t.Parallel(); c.options(t) })
	t.Run("no arguments", func(t *testing.T) { t.Parallel(); c.unnamed(t) })
	for _, bad := range c.Bad {
		t.Run("bad/"+bad.Name, func(t *testing.T) { t.Parallel(); c.bad(t, bad) })
	}
	t.Run("golden", func(t *testing.T) {
		t.Parallel()
		golden.Compare(t, "testdata/"+c.Type+".golden.json", c.inventory(t))
	})
}

// build records a Build; the component's own subtree is the second result,
// with the component first.
func (c Case) build(t *testing.T, build Build, opts ...pulumi.ResourceOption) (*Recording, []*Resource) {
	t.Helper()
	r, err := Record(func(ctx *pulumi.Context) error {
		_, err := build(ctx, "subject", opts...)
		return err
	})
	require.NoError(t, err)
	return r, c.subtree(t, r)
}

func (c Case) subtree(t *testing.T, r *Recording) []*Resource {
	t.Helper()
	var tree []*Resource
	for _, res := range r.OfType(c.token()) {
		if res.Name == "subject" {
			tree = append(tree, res)
		}
	}
	require.Len(t, tree, 1, "one component of type %s", c.token())
	for i := 0; i < len(tree); i++ {
		for _, res := range r.Resources {
			if res.Parent == tree[i].URN {
				tree = append(tree, res)
			}
		}
	}
	return tree
}

func (c Case) children(t *testing.T) {
	r, tree := c.build(t, c.Full)
	assert.Equal(t, c.Outputs, sortedKeys(tree[0].Outputs), "registered outputs")
	assert.Empty(t, treeProblems(r, tree, Tags()))
}

// treeProblems says what is wrong with a component and its descendants, of
// which the component is the first.
func treeProblems(r *Recording, tree []*Resource, tags map[string]string) []string {
	var problems []string
	if len(tree[0].Inputs) == 0 {
		problems = append(problems, tree[0].URN+" records no inputs")
	}
	for _, res := range r.Resources {
		if !slices.Contains(tree, res) && !strings.HasPrefix(root(r, res).Name, Needed) {
			problems = append(problems, res.URN+" is no child of the component")
		}
	}
	for _, res := range tree {
		if !strings.HasPrefix(res.Name, tree[0].Name) {
			problems = append(problems, res.URN+": its name does not begin with the component's, so an alias of the component would not reach it")
		}
		if !res.Custom && res.Outputs == nil {
			problems = append(problems, res.URN+" registers no outputs")
		}
		if res.Custom {
			problems = append(problems, kindProblems(res, tags)...)
		}
	}
	return problems
}

func root(r *Recording, res *Resource) *Resource {
	for _, other := range r.Resources {
		if other.URN == res.Parent {
			return root(r, other)
		}
	}
	return res
}

// kindProblems says what is wrong with one resource of AWS.
func kindProblems(res *Resource, tags map[string]string) []string {
	k, exists := kinds[res.Type]
	if !exists {
		return []string{res.URN + ": its type is not in kinds: say there whether it is taggable, and what limits its name"}
	}
	var problems []string
	if k.taggable {
		given, _ := res.Inputs["tags"].(map[string]any)
		for key, value := range tags {
			if given[key] != value {
				problems = append(problems, fmt.Sprintf("%s has not the tag %s = %s", res.URN, key, value))
			}
		}
	}
	if k.name != "" && res.Inputs["namePrefix"] == nil {
		if name, _ := res.Inputs[k.name].(string); !k.pattern.MatchString(name) {
			problems = append(problems, fmt.Sprintf("%s: %s = %q does not match %s", res.URN, k.name, name, k.pattern))
		}
	}
	for _, input := range k.policies {
		if document, set := res.Inputs[input].(string); set {
			problems = append(problems, policyProblems(res.URN+" "+input, document, k.own)...)
		}
	}
	return problems
}

// starOnly are the actions that may have the resource "*" (Service
// Authorization Reference), written here once more so that the check does not
// lean on what it checks.
var starOnly = []string{"logs:DescribeLogGroups", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}

type policyStatement struct {
	Effect    string
	Principal map[string]string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string
}

// policyProblems says what the document says that no policy of ours may say.
func policyProblems(at, document string, own bool) []string {
	var policy struct {
		Version   string
		Statement []policyStatement
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return []string{at + ": " + err.Error()}
	}
	var problems []string
	if policy.Version != "2012-10-17" || len(policy.Statement) == 0 {
		problems = append(problems, at+": has no statement, or not the version 2012-10-17")
	}
	for _, s := range policy.Statement {
		if s.Effect == "Deny" {
			continue
		}
		problems = append(problems, s.problems(at, own)...)
	}
	return problems
}

func (s policyStatement) problems(at string, own bool) []string {
	var problems []string
	if s.Effect != "Allow" || len(s.Action) == 0 {
		problems = append(problems, at+": a statement has no effect or no action")
	}
	for _, action := range s.Action {
		if strings.Contains(action, "*") {
			problems = append(problems, at+": wildcard action "+action)
		}
		if slices.Contains(s.Resource, "*") && !own && !slices.Contains(starOnly, action) {
			problems = append(problems, at+": "+action+" on every resource")
		}
	}
	if s.Principal["AWS"] == "*" && len(s.Condition) == 0 {
		problems = append(problems, at+": everyone is allowed without a condition")
	}
	return problems
}

func (c Case) expect(t *testing.T, build Build, expected []Expect) {
	require.NotEmpty(t, expected, "say what is expected")
	_, tree := c.build(t, build)
	for _, e := range expected {
		found := false
		for _, res := range tree {
			if res.Type != e.Type {
				continue
			}
			found = true
			assert.Equal(t, e.Value, At(res.Inputs, e.Path), "%s %s of %s", e.Type, e.Path, res.Name)
		}
		assert.True(t, found, "a child of type %s", e.Type)
	}
}

// At finds a value by a path of keys, or nil. "protect" and "retainOnDelete"
// are not inputs; look at the Resource.
func At(values map[string]any, path string) any {
	var value any = values
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			if len(v) == 0 || key != "0" {
				return nil
			}
			value = v[0]
		default:
			return nil
		}
	}
	return value
}

func (c Case) stable(t *testing.T) {
	assert.Equal(t, string(c.inventory(t)), string(c.inventory(t)), "two runs register the same")
}

func (c Case) preview(t *testing.T) {
	program := func(ctx *pulumi.Context) error {
		_, err := c.Full(ctx, "subject")
		return err
	}
	before, err := Preview(program)
	require.NoError(t, err)
	after, err := Record(program)
	require.NoError(t, err)
	assert.Equal(t, urns(after), urns(before), "what exists depends on no output")
}

func urns(r *Recording) []string {
	list := make([]string, len(r.Resources))
	for i, res := range r.Resources {
		list[i] = res.URN
	}
	return list
}

func (c Case) options(t *testing.T) {
	r, err := Record(func(ctx *pulumi.Context) error {
		var provider pulumi.ProviderResourceState
		if err := ctx.RegisterResource("pulumi:providers:aws", Needed+"-provider", pulumi.Map{"region": pulumi.String(Region)}, &provider); err != nil {
			return err
		}
		_, err := c.Full(ctx, "subject", pulumi.Provider(&provider), pulumi.Aliases([]pulumi.Alias{{Name: pulumi.String("former")}}), pulumi.Protect(true))
		return err
	})
	require.NoError(t, err)
	tree := c.subtree(t, r)
	assert.Contains(t, tree[0].Aliases, "former", "the component's alias")
	for _, res := range tree[1:] {
		if res.Custom {
			assert.Contains(t, res.Provider, Needed+"-provider", "provider of %s", res.URN)
			assert.True(t, res.Protect, "protection of %s", res.URN)
		}
	}
}

// unnamed holds New to an error, not a panic, when it gets nothing.
func (c Case) unnamed(t *testing.T) {
	for _, bad := range c.Bad {
		if bad.Name == "nil" {
			return
		}
	}
	t.Error(`no bad case named "nil" passes nil arguments`)
}

func (c Case) bad(t *testing.T, bad Bad) {
	require.NotEmpty(t, bad.Arguments, "say which arguments are wrong")
	var built error
	r, err := Record(func(ctx *pulumi.Context) error {
		_, built = bad.Build(ctx, "subject")
		return nil
	})
	require.NoError(t, err)
	require.Error(t, built)
	for _, res := range r.Resources {
		assert.True(t, strings.HasPrefix(root(r, res).Name, Needed), "%s is registered in spite of bad arguments", res.URN)
	}
	var reported []string
	for _, problem := range Problems(built) {
		assert.Equal(t, c.Type, problem.Component)
		assert.NotEmpty(t, problem.Rule, problem.Argument)
		assert.NotEmpty(t, problem.Remedy, problem.Argument)
		reported = append(reported, problem.Argument)
	}
	slices.Sort(reported)
	want := slices.Clone(bad.Arguments)
	slices.Sort(want)
	assert.Equal(t, want, slices.Compact(reported), "%v", built)
}

// Problems are the argument errors that a constructor reported.
func Problems(err error) []*components.ArgumentError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*components.ArgumentError
		for _, e := range joined.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	var problem *components.ArgumentError
	if errors.As(err, &problem) {
		return []*components.ArgumentError{problem}
	}
	return nil
}

// inventory is the component's subtree as JSON.
func (c Case) inventory(t *testing.T) []byte {
	t.Helper()
	_, tree := c.build(t, c.Full)
	type row struct {
		URN            string
		Inputs         any
		Outputs        map[string]any `json:",omitempty"`
		Protect        bool           `json:",omitempty"`
		RetainOnDelete bool           `json:",omitempty"`
		DependsOn      []string       `json:",omitempty"`
		IgnoreChanges  []string       `json:",omitempty"`
	}
	rows := make([]row, len(tree))
	for i, res := range tree {
		rows[i] = row{short(res.URN), readable(res.Inputs), res.Outputs, res.Protect, res.RetainOnDelete, nil, res.IgnoreChanges}
		for _, d := range res.DependsOn {
			rows[i].DependsOn = append(rows[i].DependsOn, short(d))
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.URN, b.URN) })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(rows))
	return b.Bytes()
}

// readable shows JSON documents inside of inputs as what they are.
func readable(value any) any {
	switch v := value.(type) {
	case map[string]any:
		shown := map[string]any{}
		for k, item := range v {
			shown[k] = readable(item)
		}
		return shown
	case []any:
		shown := make([]any, len(v))
		for i, item := range v {
			shown[i] = readable(item)
		}
		return shown
	case string:
		var document map[string]any
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &document) == nil {
			return map[string]any{"(json)": readable(document)}
		}
	}
	return value
}

func short(urn string) string { return strings.TrimPrefix(urn, "urn:pulumi:"+Stack+"::"+Project+"::") }

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
