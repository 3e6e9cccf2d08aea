// Command clients is a function that builds the clients of the three AWS services that ours use, and no more. They are
// kept reachable by a handler that would call them.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

type handler struct {
	db      *dynamodb.Client
	keys    *kms.Client
	secrets *secretsmanager.Client
}

func (h handler) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	if _, err := h.db.GetItem(ctx, &dynamodb.GetItemInput{}); err != nil {
		return nil, err
	}
	if _, err := h.db.PutItem(ctx, &dynamodb.PutItemInput{}); err != nil {
		return nil, err
	}
	if _, err := h.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{}); err != nil {
		return nil, err
	}
	if _, err := h.db.Query(ctx, &dynamodb.QueryInput{}); err != nil {
		return nil, err
	}
	if _, err := h.keys.Decrypt(ctx, &kms.DecryptInput{}); err != nil {
		return nil, err
	}
	_, err := h.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{})
	return nil, err
}

func main() {
	cfg := aws.Config{Region: os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")}
	lambda.Start(handler{dynamodb.NewFromConfig(cfg), kms.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg)})
}
