package secret

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// Environment stands in for Secrets Manager outside Lambda: the id of a secret is the name of a variable, whose text is
// the current and only version. A variable that is missing or empty is a secret without a value.
type Environment struct {
	lookup func(name string) (string, bool)
}

var _ API = Environment{}

// NewEnvironment reads with lookup (os.LookupEnv, or a map in tests). In Lambda it is refused: whoever may see how a
// function is configured would see its secrets. Lambda sets both variables that tell (AWS Lambda Developer Guide,
// "Defined runtime environment variables"), and so does the local cloud.
func NewEnvironment(lookup func(name string) (string, bool)) (Environment, error) {
	for _, name := range []string{"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API"} {
		if _, set := lookup(name); set {
			return Environment{}, fmt.Errorf("secret: %s is set: a function reads its secrets from Secrets Manager, never from its environment", name)
		}
	}
	return Environment{lookup}, nil
}

// environmentVersion is the id of the version that a variable holds.
const environmentVersion = "environment"

// GetSecretValue is the variable's text.
func (e Environment) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	text, _ := e.lookup(aws.ToString(in.SecretId))
	only := (in.VersionStage == nil || *in.VersionStage == current.label()) && (in.VersionId == nil || *in.VersionId == environmentVersion)
	if text == "" || !only {
		return nil, &types.ResourceNotFoundException{Message: aws.String("no such variable, or no such version of it")}
	}
	return &secretsmanager.GetSecretValueOutput{
		Name: in.SecretId, SecretString: &text, VersionId: aws.String(environmentVersion), VersionStages: []string{current.label()},
	}, nil
}
