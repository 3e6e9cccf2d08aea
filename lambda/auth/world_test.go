package auth_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	cognitotypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/auth"
	"github.com/expenzez/aws-backend/lambda/auth/cognitomem"
)

const issuer = "https://api.dev.example.com"

var start = time.Unix(1_800_000_000, 0)

// function is the declaration that the function under test answers for.
func function() service.Function {
	f, _ := catalog.Auth().Function("auth-api")
	return f
}

// values is what the deployment tells the function: every table is named after its key, and told names what differs.
func values(limits map[service.Limit]environ.Limit, told map[string]string) environ.Values {
	v, err := environ.Read(function(), func(name string) (string, bool) {
		if text, ok := told[name]; ok {
			return text, true
		}
		for limit, numbers := range limits {
			if name == service.LimitVariable(limit) {
				return fmt.Sprintf("%d/%d", numbers.Max, int(numbers.Per.Seconds())), true
			}
		}
		switch name {
		case service.IssuerVariable:
			return issuer, true
		case environ.OriginsVariable:
			return "https://app.example.com", true
		case environ.LimiterBudgetVariable:
			return "5000", true // tests share the processor; what takes too long is not what they are about
		}
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "TABLE_"), "_", "-")), true
	})
	if err != nil {
		panic(err)
	}
	return v
}

var limits = map[service.Limit]environ.Limit{
	service.LimitAuth: {Max: 5, Per: 5 * time.Minute}, service.LimitAuthIP: {Max: 100, Per: 5 * time.Minute}, service.LimitAPI: {Max: 120, Per: time.Minute}}

// generous are limits that the lockout is reached below.
var generous = map[service.Limit]environ.Limit{
	service.LimitAuth: {Max: 1000, Per: time.Minute}, service.LimitAuthIP: {Max: 1000, Per: time.Minute}, service.LimitAPI: {Max: 1000, Per: time.Minute}}

type options struct {
	pool     *cognitomem.Pool // nil: one whose client has a secret
	generous bool             // limits that no test reaches
	idToken  *string          // what the pool answers to a right password
}

// world is the function with everything around it, in memory. A test moves its clock and breaks its parts.
type world struct {
	resttest.Client
	now      time.Time
	pool     *cognitomem.Pool
	vault    *vault
	db       *breakable
	mem      *mem.DB
	view     *mem.View
	kms      *kmsmem.Key
	cipher   *fieldcrypt.Cipher
	verifier *token.Verifier
	log      bytes.Buffer
	sub      string // of the first user of the pool
}

func newWorld(t testing.TB) *world { return newWorldWith(t, options{}) }

// vault holds the signing key.
type vault struct {
	mu    sync.Mutex
	value string
	err   error
	slow  time.Duration // how long an answer takes
	calls int
	ended int
}

func (v *vault) GetSecretValue(ctx context.Context, _ *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.mu.Lock()
	v.calls++
	v.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(v.slow):
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended++
	if err := cmp.Or(v.err, ctx.Err()); err != nil {
		return nil, err
	}
	if v.value == "" {
		return nil, &smtypes.ResourceNotFoundException{}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.value}, nil
}

func (v *vault) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	v.value = *in.SecretString
	return &secretsmanager.PutSecretValueOutput{}, nil
}

// withIDToken is a pool that answers a right password with an ID token of the test's.
type withIDToken struct {
	*cognitomem.Pool
	idToken string
}

func (w withIDToken) AdminInitiateAuth(ctx context.Context, in *cognitoidentityprovider.AdminInitiateAuthInput, opts ...func(*cognitoidentityprovider.Options)) (*cognitoidentityprovider.AdminInitiateAuthOutput, error) {
	out, err := w.Pool.AdminInitiateAuth(ctx, in, opts...)
	if err == nil {
		out.AuthenticationResult = &cognitotypes.AuthenticationResultType{IdToken: &w.idToken}
	}
	return out, err
}

// smithyError is an error of the user pool as the SDK gives it for a code without a type.
type smithyError struct{ code string }

func (e *smithyError) Error() string                 { return e.code }
func (e *smithyError) ErrorCode() string             { return e.code }
func (e *smithyError) ErrorMessage() string          { return e.code }
func (e *smithyError) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// breakable is a store whose calls a test can break: all of one action, or those on one table.
type breakable struct {
	store.DB
	mu    sync.Mutex
	fails map[string]error // by action and table; table empty: every one
	all   error
	lost  string // action and table whose answers are lost: the client tries again
}

func (b *breakable) broken(action, table string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.all, b.fails[action+" "], b.fails[action+" "+table])
}

func (b *breakable) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if err := b.broken("GetItem", *in.TableName); err != nil {
		return nil, err
	}
	return b.DB.GetItem(ctx, in, opts...)
}

func (b *breakable) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if err := b.broken("PutItem", *in.TableName); err != nil {
		return nil, err
	}
	return b.DB.PutItem(ctx, in, opts...)
}

func (b *breakable) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if err := b.broken("UpdateItem", *in.TableName); err != nil {
		return nil, err
	}
	out, err := b.DB.UpdateItem(ctx, in, opts...)
	if err == nil && b.lost == "UpdateItem "+*in.TableName {
		return b.DB.UpdateItem(ctx, in, opts...)
	}
	return out, err
}

func (b *breakable) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if err := b.broken("DeleteItem", *in.TableName); err != nil {
		return nil, err
	}
	return b.DB.DeleteItem(ctx, in, opts...)
}

func (b *breakable) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if err := b.broken("Query", *in.TableName); err != nil {
		return nil, err
	}
	return b.DB.Query(ctx, in, opts...)
}

func (b *breakable) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	for table := range in.RequestItems {
		if err := b.broken("BatchGetItem", table); err != nil {
			return nil, err
		}
	}
	return b.DB.BatchGetItem(ctx, in, opts...)
}

func (b *breakable) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if err := b.broken("TransactWriteItems", ""); err != nil {
		return nil, err
	}
	for _, write := range in.TransactItems {
		if write.Put == nil {
			continue
		}
		if err := b.broken("PutItem", *write.Put.TableName); err != nil {
			return nil, err
		}
	}
	return b.DB.TransactWriteItems(ctx, in, opts...)
}

// fail breaks an action on a table, or mends it with a nil error.
func (w *world) fail(action, table string, err error) {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	if w.db.fails == nil {
		w.db.fails = map[string]error{}
	}
	w.db.fails[action+" "+table] = err
}

func (w *world) failAll(err error) { w.db.all = err }

func (w *world) loseAnswers(action, table string) { w.db.lost = action + " " + table }

// item is the item of a key, which must be there.
func (w *world) item(t testing.TB, table, pk string) store.Item {
	t.Helper()
	i := slices.IndexFunc(w.items(table), func(item store.Item) bool { return store.Read(item).S("pk") == pk })
	require.GreaterOrEqual(t, i, 0, "no item %s in %s", pk, table)
	return w.items(table)[i]
}

// events are what was noted about a user, in order.
func (w *world) events(t testing.TB, sub string) []string {
	t.Helper()
	var items []store.Item
	for _, item := range w.items("security-events") {
		if store.Read(item).S("pk") == "USER#"+sub {
			items = append(items, item)
		}
	}
	slices.SortStableFunc(items, func(a, b store.Item) int {
		return strings.Compare(store.Read(a).S("at"), store.Read(b).S("at"))
	})
	var all []string
	for _, item := range items {
		all = append(all, store.Read(item).S("event"))
	}
	return all
}

// failures is how many attempts are counted for an account.
func (w *world) failures(t testing.TB, who string) int64 {
	t.Helper()
	index, err := w.cipher.BlindIndex(t.Context(), "email", who)
	require.NoError(t, err)
	for _, item := range w.items("login-attempts") {
		if store.Read(item).S("pk") == "EMAIL#"+index {
			return store.Read(item).N("failures")
		}
	}
	return 0
}

// suspend makes the account of the first user one that may not be used.
func (w *world) suspend(t testing.TB) {
	t.Helper()
	w.login(t)
	item := w.item(t, "users", "USER#"+w.sub)
	item["status"] = store.S("suspended")
	w.put(t, "users", item)
}

func (w *world) spoilSession(t testing.TB, id string) {
	t.Helper()
	item := w.item(t, "sessions", "SESSION#"+id)
	item["current"], item["idleUntil"] = store.S("not bytes"), store.S("soon")
	w.put(t, "sessions", item)
}

// dumped is everything in items as text.
func dumped(items []store.Item) []string {
	var all []string
	for _, item := range items {
		for name, value := range item {
			switch v := value.(type) {
			case *types.AttributeValueMemberS:
				all = append(all, name+"="+v.Value)
			case *types.AttributeValueMemberN:
				all = append(all, name+"="+v.Value)
			case *types.AttributeValueMemberB:
				all = append(all, name+"="+string(v.Value)+"="+base64.RawURLEncoding.EncodeToString(v.Value))
			default:
				all = append(all, fmt.Sprintf("%s=%#v", name, v))
			}
		}
	}
	return all
}

// newWorldWith makes a provisioned environment with a sandbox of the function, which may do what is declared for it and
// must try nothing else.
func newWorldWith(t testing.TB, o options) *world {
	t.Helper()
	w := &world{now: start, pool: o.pool, vault: &vault{}, mem: mem.New(storetest.Schemas(catalog.Backend().Tables)...), sub: "00000000-0000-4000-8000-000000000001"}
	if w.pool == nil {
		w.pool = &cognitomem.Pool{ClientSecret: "client-secret-text"}
	}
	v := values(limits, nil)
	if o.generous {
		v = values(generous, nil)
	}
	w.pool.ID, w.pool.ClientID = v.UserPool, v.UserPoolClient
	w.kms = kmsmem.New(v.Key("pii"), map[string]string{"app": "expenzez", "env": v.Environment, "purpose": "pii"})
	_, err := token.Provision(t.Context(), w.vault, "jwt", store.NewTable(w.mem, "signing-keys"), start)
	require.NoError(t, err)
	w.vault.calls, w.vault.ended = 0, 0
	w.sandbox(t, v, o)
	return w
}

// sandbox starts the function anew, with nothing in its memory.
func (w *world) sandbox(t testing.TB, v environ.Values, o options) {
	t.Helper()
	w.view = w.mem.As(storetest.Grants(function().Tables)...)
	t.Cleanup(func() { require.Empty(t, w.view.Denied(), "something undeclared was tried") })
	w.db = &breakable{DB: w.view}
	var pool auth.Cognito = w.pool
	if o.idToken != nil {
		pool = withIDToken{w.pool, *o.idToken}
	}
	w.cipher = fieldcrypt.New(w.kms, store.NewTable(w.mem, "users"), fieldcrypt.Config{Key: v.Key("pii"), Environment: v.Environment, Purpose: "pii"})
	w.build(t, w.mem, auth.Deps{Values: v, Tables: auth.Bind(w.db, v), Tx: w.db, Cognito: pool, Secrets: w.vault, KMS: w.kms,
		Log: telemetry.New(&w.log, telemetry.Options{Function: "auth-api"}), Now: func() time.Time { return w.now }})
}

// restart is a cold start: the same environment, a new sandbox.
func (w *world) restart(t testing.TB) {
	t.Helper()
	w.sandbox(t, values(limits, nil), options{})
}

// build makes the handler, and a verifier that has its own way to the keys.
func (w *world) build(t testing.TB, db store.DB, d auth.Deps) {
	t.Helper()
	h, err := auth.New(d)
	require.NoError(t, err)
	w.Client = resttest.Client{Handler: h, Function: function()}
	w.verifier = token.NewVerifier(issuer, token.NewKeys(store.NewTable(db, "signing-keys"), token.KeysOptions{Now: d.Now}), d.Now)
}

func (w *world) items(table string) []store.Item { return w.mem.Items(table) }

func (w *world) put(t testing.TB, table string, item store.Item) {
	t.Helper()
	_, err := w.mem.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	require.NoError(t, err)
}

func (w *world) remove(t testing.TB, table, pk string) {
	t.Helper()
	_, err := w.mem.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: store.Item{"pk": store.S(pk)}})
	require.NoError(t, err)
}
