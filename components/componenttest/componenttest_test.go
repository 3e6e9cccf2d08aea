package componenttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
)

// resource registers a resource of any type.
func register(ctx *pulumi.Context, token, name string, props pulumi.Map, opts ...pulumi.ResourceOption) (*pulumi.CustomResourceState, error) {
	var state pulumi.CustomResourceState
	return &state, ctx.RegisterResource(token, name, props, &state, opts...)
}

const group = "aws:cloudwatch/logGroup:LogGroup"

type component struct {
	pulumi.ResourceState
}

func TestRecordKeepsWhatWasRegistered(t *testing.T) {
	t.Parallel()
	r, err := Record(func(ctx *pulumi.Context) error {
		parent := &component{}
		if err := ctx.RegisterComponentResourceV2("test:components:Thing", "thing", pulumi.Map{"size": pulumi.Int(3)}, parent); err != nil {
			return err
		}
		first, err := register(ctx, group, "first", pulumi.Map{
			"name": pulumi.String("/a"), "secret": pulumi.ToSecret(pulumi.String("s")), "list": pulumi.ToStringArray([]string{"x"}),
		}, pulumi.Parent(parent), pulumi.Protect(true))
		if err != nil {
			return err
		}
		_, err = register(ctx, group, "second", pulumi.Map{"name": first.ID()}, pulumi.DependsOn([]pulumi.Resource{first}),
			pulumi.RetainOnDelete(true), pulumi.IgnoreChanges([]string{"name"}), pulumi.Aliases([]pulumi.Alias{{Name: pulumi.String("old")}}))
		if err != nil {
			return err
		}
		ctx.Export("name", first.ID())
		return ctx.RegisterResourceOutputs(parent, pulumi.Map{"done": pulumi.Bool(true)})
	})
	require.NoError(t, err)
	require.Len(t, r.Resources, 3)
	thing, first, second := r.OfType("test:components:Thing")[0], r.OfType(group)[1], r.OfType(group)[0]
	if first.Name != "first" {
		first, second = second, first
	}
	assert.Equal(t, map[string]any{"size": 3.0}, thing.Inputs)
	assert.Equal(t, map[string]any{"done": true}, thing.Outputs)
	assert.False(t, thing.Custom)
	assert.Equal(t, map[string]any{"name": "/a", "secret": Secret{"s"}, "list": []any{"x"}}, first.Inputs)
	assert.Equal(t, thing.URN, first.Parent)
	assert.True(t, first.Protect)
	assert.Equal(t, "/a", second.Inputs["name"], "the id that AWS would give")
	assert.Equal(t, []string{first.URN}, second.DependsOn)
	assert.True(t, second.RetainOnDelete)
	assert.Equal(t, []string{"name"}, second.IgnoreChanges)
	assert.Equal(t, []string{"old"}, second.Aliases)
	assert.Equal(t, map[string]any{"name": "/a"}, r.Exports)
}

func TestPreviewKnowsNothingOfAWS(t *testing.T) {
	t.Parallel()
	program := func(ctx *pulumi.Context) error {
		first, err := register(ctx, group, "first", pulumi.Map{"name": pulumi.String("/a")})
		if err != nil {
			return err
		}
		_, err = register(ctx, "test:index:Other", "other", pulumi.Map{"from": first.ID()})
		return err
	}
	before, err := Preview(program)
	require.NoError(t, err)
	assert.Equal(t, Unknown{}, before.OfType("test:index:Other")[0].Inputs["from"])
	after, err := Record(program)
	require.NoError(t, err)
	assert.Equal(t, "/a", after.OfType("test:index:Other")[0].Inputs["from"])
}

func TestRecordFails(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		program pulumi.RunFunc
		problem string
	}{
		"the program's own error": {func(*pulumi.Context) error { return errors.New("own error") }, "own error"},
		"one name twice": {func(ctx *pulumi.Context) error {
			_, first := register(ctx, group, "same", pulumi.Map{})
			_, second := register(ctx, group, "same", pulumi.Map{})
			return errors.Join(first, second)
		}, "registered twice"},
		"asking AWS": {func(ctx *pulumi.Context) error {
			var result map[string]any
			return ctx.Invoke("aws:index/getCallerIdentity:getCallerIdentity", pulumi.Map{}, &result)
		}, "pass what it needs as an argument"},
		"a failing output": {func(ctx *pulumi.Context) error {
			broken := pulumi.String("x").ToStringOutput().ApplyT(func(string) (string, error) { return "", errors.New("broken output") })
			_, err := register(ctx, group, "first", pulumi.Map{"name": broken})
			return err
		}, "broken output"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Record(c.program)
			require.ErrorContains(t, err, c.problem)
			assert.NotNil(t, r)
		})
	}
}

func TestPolicyProblems(t *testing.T) {
	t.Parallel()
	policy := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	cases := map[string]struct {
		document string
		own      bool
		problem  string // empty: none
	}{
		"exact":                       {policy(`{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["arn"]}`), false, ""},
		"star where there is no type": {policy(`{"Effect":"Allow","Action":["xray:PutTraceSegments"],"Resource":["*"]}`), false, ""},
		"itself":                      {policy(`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["*"]}`), true, ""},
		"deny everything":             {policy(`{"Effect":"Deny","Action":["dynamodb:*"],"Resource":["*"],"Principal":{"AWS":"*"}}`), false, ""},
		"everyone from somewhere":     {policy(`{"Effect":"Allow","Action":["a:B"],"Resource":["x"],"Principal":{"AWS":"*"},"Condition":{"IpAddress":{"aws:SourceIp":["x"]}}}`), true, ""},
		"star":                        {policy(`{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["*"]}`), false, "on every resource"},
		"star beside an ARN":          {policy(`{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["arn","*"]}`), false, "on every resource"},
		"wildcard action":             {policy(`{"Effect":"Allow","Action":["dynamodb:*"],"Resource":["arn"]}`), false, "wildcard action"},
		"wildcard action on itself":   {policy(`{"Effect":"Allow","Action":["kms:*"],"Resource":["*"]}`), true, "wildcard action"},
		"everyone":                    {policy(`{"Effect":"Allow","Action":["a:B"],"Resource":["x"],"Principal":{"AWS":"*"}}`), true, "everyone is allowed"},
		"no effect":                   {policy(`{"Action":["a:B"],"Resource":["x"]}`), false, "no effect or no action"},
		"no action":                   {policy(`{"Effect":"Allow","Resource":["x"]}`), false, "no effect or no action"},
		"no statement":                {policy(``), false, "no statement"},
		"old version":                 {`{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":["a:B"],"Resource":["x"]}]}`, false, "version"},
		"no JSON":                     {`{`, false, "unexpected end"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := policyProblems("here", c.document, c.own)
			if c.problem == "" {
				assert.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			assert.Contains(t, fmt.Sprint(problems), c.problem)
		})
	}
}

// Each defect of a component's tree is found: the suite can fail.
func TestTreeProblems(t *testing.T) {
	t.Parallel()
	tags := map[string]string{"Project": "x"}
	good := func() (*Recording, []*Resource) {
		tree := []*Resource{
			{URN: "c", Name: "subject", Inputs: map[string]any{"a": 1}, Outputs: map[string]any{}},
			{URN: "g", Name: "subject-log", Parent: "c", Type: group, Custom: true, Inputs: map[string]any{"name": "/a", "tags": map[string]any{"Project": "x"}}},
			{URN: "r", Name: "subject", Parent: "c", Type: "aws:iam/rolePolicy:RolePolicy", Custom: true, Inputs: map[string]any{
				"name": "grants", "policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:B"],"Resource":["x"]}]}`,
			}},
		}
		return &Recording{Resources: append([]*Resource{{URN: "n", Name: Needed + "-key"}}, tree...)}, tree
	}
	recording, tree := good()
	require.Empty(t, treeProblems(recording, tree, tags))
	cases := map[string]struct {
		spoil   func(r *Recording, tree []*Resource)
		problem string
	}{
		"no inputs":      {func(_ *Recording, tree []*Resource) { tree[0].Inputs = nil }, "records no inputs"},
		"no outputs":     {func(_ *Recording, tree []*Resource) { tree[0].Outputs = nil }, "registers no outputs"},
		"stray resource": {func(r *Recording, _ []*Resource) { r.Resources[0].Name = "subject-stray" }, "is no child"},
		"foreign name":   {func(_ *Recording, tree []*Resource) { tree[1].Name = "log" }, "does not begin with"},
		"unknown type":   {func(_ *Recording, tree []*Resource) { tree[1].Type = "aws:s3/bucket:Bucket" }, "not in kinds"},
		"no tags":        {func(_ *Recording, tree []*Resource) { delete(tree[1].Inputs, "tags") }, "has not the tag"},
		"other tag":      {func(_ *Recording, tree []*Resource) { tree[1].Inputs["tags"] = map[string]any{"Project": "y"} }, "has not the tag"},
		"bad name":       {func(_ *Recording, tree []*Resource) { tree[1].Inputs["name"] = "a b" }, "does not match"},
		"no name":        {func(_ *Recording, tree []*Resource) { delete(tree[1].Inputs, "name") }, "does not match"},
		"wildcard policy": {func(_ *Recording, tree []*Resource) {
			tree[2].Inputs["policy"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:*"],"Resource":["x"]}]}`
		}, "wildcard action"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recording, tree := good()
			c.spoil(recording, tree)
			assert.Contains(t, fmt.Sprint(treeProblems(recording, tree, tags)), c.problem)
		})
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	values := map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": 1}}}, "empty": []any{}}
	assert.Equal(t, 1, At(values, "a.b.0.c"))
	for _, path := range []string{"x", "a.x", "a.b.c", "a.b.1", "empty.0", "a.b.0.c.d"} {
		assert.Nil(t, At(values, path), path)
	}
}

func TestProblemsLooksInsideJoinsAndWraps(t *testing.T) {
	t.Parallel()
	one, two := &components.ArgumentError{Argument: "One"}, &components.ArgumentError{Argument: "Two"}
	assert.Equal(t, []*components.ArgumentError{one, two}, Problems(errors.Join(one, fmt.Errorf("wrapped: %w", two), errors.New("other"))))
	assert.Empty(t, Problems(errors.New("other")))
	assert.Empty(t, Problems(nil))
}
