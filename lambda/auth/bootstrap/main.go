// Command bootstrap is the auth-api function.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/bootstrap"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/lambda/auth"
)

func main() { bootstrap.Start(build) }

func build(lookup bootstrap.Lookup) (lambda.Handler, error) {
	return bootstrap.Build(catalog.Auth(), "auth-api", lookup, func(e bootstrap.Environment) (lambda.Handler, error) {
		return auth.New(auth.Deps{
			Values: e.Values, Tables: auth.Bind(e.DB, e.Values), Tx: e.DB,
			Cognito: newPool(e.AWS), Secrets: secretsmanager.NewFromConfig(e.AWS), KMS: kms.NewFromConfig(e.AWS),
			Log: e.Log, Now: time.Now,
		})
	})
}

// poolTimeout bounds one attempt at the user pool, which hashes passwords and sends mails before it answers.
const poolTimeout = 4 * time.Second

func newPool(cfg aws.Config) *cognitoidentityprovider.Client {
	return cognitoidentityprovider.NewFromConfig(cfg, func(o *cognitoidentityprovider.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(poolTimeout)
		o.RetryMaxAttempts = 2
	})
}
