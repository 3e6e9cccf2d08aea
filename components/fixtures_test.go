package components_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

// keyARN is the key of everything that a test encrypts.
const keyARN = "arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"

// codeZip is a zip with an executable "bootstrap".
const codeZip = "testdata/function.zip"

func place() components.Place {
	return components.Place{Account: componenttest.Account, Region: componenttest.Region}
}

func key() components.Text { return components.Known(keyARN) }

func long(n int) string { return strings.Repeat("n", n) }

// badBasics are wrong arguments that every component has.
func badBasics(withNil componenttest.Build, nilArguments []string, build func(components.Place, map[string]string) componenttest.Build) []componenttest.Bad {
	tooMany := map[string]string{}
	for i := range 51 {
		tooMany["Key"+strings.Repeat("x", i)] = "v"
	}
	nowhere := []string{"Place.Account", "Place.Region"}
	return []componenttest.Bad{
		{Name: "nil", Build: withNil, Arguments: append(nowhere, nilArguments...)},
		{Name: "place", Build: build(components.Place{Account: "1234", Region: "London", Partition: "aws-cn"}, nil),
			Arguments: []string{"Place.Account", "Place.Partition", "Place.Region"}},
		{Name: "account with letters", Build: build(components.Place{Account: "11112222333a", Region: "eu-west-2"}, nil), Arguments: []string{"Place.Account"}},
		{Name: "tags", Build: build(place(), map[string]string{
			"": "v", "aws:x": "v", "Bad<": "v", "Long": long(257), long(129): "v", "Odd": "a|b",
		}), Arguments: []string{`Tags[""]`, `Tags["Bad<"]`, `Tags["Long"]`, `Tags["Odd"]`, `Tags["aws:x"]`, `Tags["` + long(129) + `"]`}},
		{Name: "too many tags", Build: build(place(), tooMany), Arguments: []string{"Tags"}},
	}
}

// function registers a function that another component needs.
func function(ctx *pulumi.Context, name string, timeout int) (*components.LambdaFunction, error) {
	return components.NewLambdaFunction(ctx, componenttest.Needed+"-"+name, &components.LambdaFunctionArgs{
		Place: place(), Name: name, Description: "Answers in tests", Code: codeZip, MemoryMB: 128, TimeoutSeconds: timeout, Key: key(),
	})
}

// record runs a program that has to succeed.
func record(t *testing.T, program pulumi.RunFunc) *componenttest.Recording {
	t.Helper()
	r, err := componenttest.Record(program)
	require.NoError(t, err)
	return r
}

// only is the one resource of a type.
func only(t *testing.T, r *componenttest.Recording, token string) *componenttest.Resource {
	t.Helper()
	found := r.OfType(token)
	require.Len(t, found, 1, token)
	return found[0]
}
