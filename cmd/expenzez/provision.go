package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/artifact"
	"github.com/expenzez/aws-backend/internal/local"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// runProvision uses the operator's own AWS credentials. It may be repeated: an existing key stays.
func runProvision(ctx context.Context, args []string, out io.Writer) error {
	environment, err := environmentFlag("provision", args)
	if err != nil {
		return err
	}
	project, err := local.ReadProject(".", environment, artifact.ARM64)
	if err != nil {
		return err
	}
	s := project.Settings
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.Region))
	if err != nil {
		return fmt.Errorf("provision: AWS credentials: %w", err)
	}
	keys := store.NewTable(dynamodb.NewFromConfig(aws), s.Name("signing-keys"))
	made, err := token.Provision(ctx, secretsmanager.NewFromConfig(aws), s.SecretPrefix()+"jwt", keys, time.Now())
	if err != nil {
		return fmt.Errorf("provision %s in account %s: %w", environment, s.Account, err)
	}
	text := "%s has a signing key already; its public key is published\n"
	if made {
		text = "%s has its first signing key\n"
	}
	_, err = fmt.Fprintf(out, text, environment)
	return err
}
