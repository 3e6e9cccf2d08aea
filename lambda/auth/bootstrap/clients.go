package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/auth"
)

// Tink makes the linker keep every method of every type that becomes an interface. A client of the SDK would bring all
// operations of its service along, more than a hundred for user pools; here only the calls that are made become one.
type (
	call[In, Out, Options any] = func(context.Context, *In, ...func(*Options)) (*Out, error)

	tables struct {
		get      call[dynamodb.GetItemInput, dynamodb.GetItemOutput, dynamodb.Options]
		put      call[dynamodb.PutItemInput, dynamodb.PutItemOutput, dynamodb.Options]
		update   call[dynamodb.UpdateItemInput, dynamodb.UpdateItemOutput, dynamodb.Options]
		del      call[dynamodb.DeleteItemInput, dynamodb.DeleteItemOutput, dynamodb.Options]
		query    call[dynamodb.QueryInput, dynamodb.QueryOutput, dynamodb.Options]
		batchGet call[dynamodb.BatchGetItemInput, dynamodb.BatchGetItemOutput, dynamodb.Options]
		batchPut call[dynamodb.BatchWriteItemInput, dynamodb.BatchWriteItemOutput, dynamodb.Options]
		transact call[dynamodb.TransactWriteItemsInput, dynamodb.TransactWriteItemsOutput, dynamodb.Options]
	}
	pool struct {
		signUp   call[cognitoidentityprovider.SignUpInput, cognitoidentityprovider.SignUpOutput, cognitoidentityprovider.Options]
		confirm  call[cognitoidentityprovider.ConfirmSignUpInput, cognitoidentityprovider.ConfirmSignUpOutput, cognitoidentityprovider.Options]
		resend   call[cognitoidentityprovider.ResendConfirmationCodeInput, cognitoidentityprovider.ResendConfirmationCodeOutput, cognitoidentityprovider.Options]
		initiate call[cognitoidentityprovider.AdminInitiateAuthInput, cognitoidentityprovider.AdminInitiateAuthOutput, cognitoidentityprovider.Options]
		describe call[cognitoidentityprovider.DescribeUserPoolClientInput, cognitoidentityprovider.DescribeUserPoolClientOutput, cognitoidentityprovider.Options]
	}
	key struct {
		generate call[kms.GenerateDataKeyInput, kms.GenerateDataKeyOutput, kms.Options]
		decrypt  call[kms.DecryptInput, kms.DecryptOutput, kms.Options]
	}
	secrets struct {
		get call[secretsmanager.GetSecretValueInput, secretsmanager.GetSecretValueOutput, secretsmanager.Options]
	}
)

var (
	_ store.DB       = tables{}
	_ auth.Cognito   = pool{}
	_ fieldcrypt.KMS = key{}
	_ secret.API     = secrets{}
)

func newTables(cfg aws.Config) tables {
	c := store.Open(cfg, store.Options{})
	return tables{c.GetItem, c.PutItem, c.UpdateItem, c.DeleteItem, c.Query, c.BatchGetItem, c.BatchWriteItem, c.TransactWriteItems}
}

// poolTimeout bounds one attempt at the user pool, which hashes passwords and sends mails before it answers.
const poolTimeout = 4 * time.Second

func newPool(cfg aws.Config) pool {
	c := cognitoidentityprovider.NewFromConfig(cfg, func(o *cognitoidentityprovider.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(poolTimeout)
		o.RetryMaxAttempts = 2
	})
	return pool{c.SignUp, c.ConfirmSignUp, c.ResendConfirmationCode, c.AdminInitiateAuth, c.DescribeUserPoolClient}
}

func newKey(cfg aws.Config) key {
	c := kms.NewFromConfig(cfg)
	return key{c.GenerateDataKey, c.Decrypt}
}

func newSecrets(cfg aws.Config) secrets {
	return secrets{secretsmanager.NewFromConfig(cfg).GetSecretValue}
}

func (t tables) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return t.get(ctx, in, o...)
}

func (t tables) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return t.put(ctx, in, o...)
}

func (t tables) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return t.update(ctx, in, o...)
}

func (t tables) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return t.del(ctx, in, o...)
}

func (t tables) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return t.query(ctx, in, o...)
}

func (t tables) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return t.batchGet(ctx, in, o...)
}

func (t tables) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	return t.batchPut(ctx, in, o...)
}

func (t tables) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return t.transact(ctx, in, o...)
}

func (p pool) SignUp(ctx context.Context, in *cognitoidentityprovider.SignUpInput, o ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.SignUpOutput, error) {
	return p.signUp(ctx, in, o...)
}

func (p pool) ConfirmSignUp(ctx context.Context, in *cognitoidentityprovider.ConfirmSignUpInput, o ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.ConfirmSignUpOutput, error) {
	return p.confirm(ctx, in, o...)
}

func (p pool) ResendConfirmationCode(ctx context.Context, in *cognitoidentityprovider.ResendConfirmationCodeInput, o ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.ResendConfirmationCodeOutput, error) {
	return p.resend(ctx, in, o...)
}

func (p pool) AdminInitiateAuth(ctx context.Context, in *cognitoidentityprovider.AdminInitiateAuthInput, o ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.AdminInitiateAuthOutput, error) {
	return p.initiate(ctx, in, o...)
}

func (p pool) DescribeUserPoolClient(ctx context.Context, in *cognitoidentityprovider.DescribeUserPoolClientInput, o ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.DescribeUserPoolClientOutput, error) {
	return p.describe(ctx, in, o...)
}

func (k key) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, o ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	return k.generate(ctx, in, o...)
}

func (k key) Decrypt(ctx context.Context, in *kms.DecryptInput, o ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	return k.decrypt(ctx, in, o...)
}

func (s secrets) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, o ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return s.get(ctx, in, o...)
}
