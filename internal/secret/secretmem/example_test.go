package secretmem_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/secret/secretmem"
)

// A rotation writes the new version beside the current one and then moves the label.
func Example() {
	ctx, vault := context.Background(), secretmem.New()
	one, err := vault.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("push"), SecretString: aws.String("one")})
	if err != nil {
		fmt.Println(err)
		return
	}
	two, err := vault.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: one.Name, SecretString: aws.String("two"), VersionStages: []string{"AWSPENDING"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	read := func(stage string) {
		got, err := vault.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: one.ARN, VersionStage: &stage})
		if err != nil {
			fmt.Println(stage, err)
			return
		}
		fmt.Println(stage, *got.SecretString, got.VersionStages)
	}
	read("AWSCURRENT")
	read("AWSPREVIOUS")
	_, err = vault.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: one.Name, VersionStage: aws.String("AWSCURRENT"),
		RemoveFromVersionId: one.VersionId, MoveToVersionId: two.VersionId})
	if err != nil {
		fmt.Println(err)
		return
	}
	read("AWSCURRENT")
	read("AWSPREVIOUS")
	// Output:
	// AWSCURRENT one [AWSCURRENT]
	// AWSPREVIOUS ResourceNotFoundException: Secrets Manager can't find the specified secret value.
	// AWSCURRENT two [AWSCURRENT AWSPENDING]
	// AWSPREVIOUS one [AWSPREVIOUS]
}
