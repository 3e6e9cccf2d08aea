package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

// script is a DB that answers what a test says and remembers what it was asked.
type script struct {
	store.DB
	err      error
	put      *dynamodb.PutItemInput
	get      *dynamodb.GetItemInput
	update   *dynamodb.UpdateItemInput
	del      *dynamodb.DeleteItemInput
	query    *dynamodb.QueryInput
	transact *dynamodb.TransactWriteItemsInput
	batches  []*dynamodb.BatchGetItemInput
	writes   []*dynamodb.BatchWriteItemInput
	answers  []*dynamodb.BatchGetItemOutput
	left     [][]types.WriteRequest // of each batch of writes; none when it runs out
	opts     int
}

func (s *script) GetItem(_ context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	s.get, s.opts = in, len(opts)
	return &dynamodb.GetItemOutput{}, s.err
}

func (s *script) PutItem(_ context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	s.put, s.opts = in, len(opts)
	return &dynamodb.PutItemOutput{}, s.err
}

func (s *script) UpdateItem(_ context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	s.update, s.opts = in, len(opts)
	return &dynamodb.UpdateItemOutput{}, s.err
}

func (s *script) DeleteItem(_ context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	s.del, s.opts = in, len(opts)
	return &dynamodb.DeleteItemOutput{}, s.err
}

func (s *script) Query(_ context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	s.query, s.opts = in, len(opts)
	return &dynamodb.QueryOutput{}, s.err
}

func (s *script) TransactWriteItems(_ context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	s.transact = in
	return &dynamodb.TransactWriteItemsOutput{}, s.err
}

func (s *script) BatchGetItem(_ context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	s.opts = len(opts)
	s.batches = append(s.batches, in)
	if s.err != nil {
		return nil, s.err
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer, nil
}

func (s *script) BatchWriteItem(_ context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	s.opts = len(opts)
	s.writes = append(s.writes, in)
	out := &dynamodb.BatchWriteItemOutput{}
	if len(s.left) > 0 {
		out.UnprocessedItems = map[string][]types.WriteRequest{"orders": s.left[0]}
		s.left = s.left[1:]
	}
	return out, s.err
}

func TestEveryCallGoesToTheBoundTable(t *testing.T) {
	t.Parallel()
	db := &script{}
	table := store.NewTable(db, "orders").With(store.Once)
	other := aws.String("someone-elses")
	ctx := t.Context()

	_, err := table.GetItem(ctx, &dynamodb.GetItemInput{TableName: other})
	require.NoError(t, err)
	_, err = table.PutItem(ctx, &dynamodb.PutItemInput{TableName: other})
	require.NoError(t, err)
	_, err = table.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: other})
	require.NoError(t, err)
	_, err = table.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: other})
	require.NoError(t, err)
	_, err = table.Query(ctx, &dynamodb.QueryInput{TableName: other})
	require.NoError(t, err)
	assert.Nil(t, db.query.IndexName)

	require.NoError(t, store.Transact(ctx, db, "", table.PutWrite(types.Put{TableName: other}), table.UpdateWrite(types.Update{TableName: other}),
		table.DeleteWrite(types.Delete{TableName: other}), table.CheckWrite(types.ConditionCheck{TableName: other})))
	items := db.transact.TransactItems

	for i, name := range []*string{db.get.TableName, db.put.TableName, db.update.TableName, db.del.TableName, db.query.TableName,
		items[0].Put.TableName, items[1].Update.TableName, items[2].Delete.TableName, items[3].ConditionCheck.TableName} {
		assert.Equal(t, "orders", *name, "call %d", i)
	}
	assert.Equal(t, "someone-elses", *other, "the caller's input stays as it was")
	assert.Equal(t, 1, db.opts, "the table's options reach its calls")
	assert.Nil(t, db.transact.ClientRequestToken, "an empty token is left to the client")
	assert.Equal(t, "orders", table.Name())
}

func TestAnIndexIsQueriedOnlyByItsOwnCall(t *testing.T) {
	t.Parallel()
	db := &script{}
	table := store.NewTable(db, "orders")

	_, err := table.Query(t.Context(), &dynamodb.QueryInput{IndexName: aws.String("by-date")})
	require.ErrorContains(t, err, "store: Query on orders: an index is queried by QueryIndex")
	require.Nil(t, db.query, "nothing was asked")

	_, err = table.QueryIndex(t.Context(), "by-date", &dynamodb.QueryInput{IndexName: aws.String("another")})
	require.NoError(t, err)
	assert.Equal(t, "by-date", *db.query.IndexName)
}

func TestOldItemIsAskedForOnlyWithACondition(t *testing.T) {
	t.Parallel()
	const all, none = types.ReturnValuesOnConditionCheckFailureAllOld, types.ReturnValuesOnConditionCheckFailureNone
	condition := aws.String("attribute_exists(pk)")
	cases := map[string]struct {
		condition *string
		set, want types.ReturnValuesOnConditionCheckFailure
	}{
		"no condition":            {nil, "", ""},
		"condition":               {condition, "", all},
		"caller declined":         {condition, none, none},
		"asked without condition": {nil, all, all},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := &script{}
			table := store.NewTable(db, "orders")
			_, err := table.PutItem(t.Context(), &dynamodb.PutItemInput{ConditionExpression: c.condition, ReturnValuesOnConditionCheckFailure: c.set})
			require.NoError(t, err)
			_, err = table.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{ConditionExpression: c.condition, ReturnValuesOnConditionCheckFailure: c.set})
			require.NoError(t, err)
			_, err = table.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{ConditionExpression: c.condition, ReturnValuesOnConditionCheckFailure: c.set})
			require.NoError(t, err)
			require.NoError(t, store.Transact(t.Context(), db, "",
				table.PutWrite(types.Put{ConditionExpression: c.condition, ReturnValuesOnConditionCheckFailure: c.set}),
				table.CheckWrite(types.ConditionCheck{ConditionExpression: c.condition, ReturnValuesOnConditionCheckFailure: c.set})))
			assert.Equal(t, []types.ReturnValuesOnConditionCheckFailure{c.want, c.want, c.want, c.want, c.want},
				[]types.ReturnValuesOnConditionCheckFailure{
					db.put.ReturnValuesOnConditionCheckFailure, db.update.ReturnValuesOnConditionCheckFailure, db.del.ReturnValuesOnConditionCheckFailure,
					db.transact.TransactItems[0].Put.ReturnValuesOnConditionCheckFailure, db.transact.TransactItems[1].ConditionCheck.ReturnValuesOnConditionCheckFailure})
		})
	}
}

func TestARefusalCarriesTheOldItemAndNoValuesInItsText(t *testing.T) {
	t.Parallel()
	db := &script{err: fmt.Errorf("wrapped: %w", &types.ConditionalCheckFailedException{Item: store.Item{"secret": store.S("s3cr3t")}})}
	table := store.NewTable(db, "orders")
	calls := map[string]func() error{
		"PutItem":    func() error { _, err := table.PutItem(t.Context(), &dynamodb.PutItemInput{}); return err },
		"UpdateItem": func() error { _, err := table.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{}); return err },
		"DeleteItem": func() error { _, err := table.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{}); return err },
	}
	for name, call := range calls {
		err := call()
		require.ErrorIs(t, err, store.ErrConditionFailed, name)
		var refused *store.ConditionFailedError
		require.ErrorAs(t, err, &refused, name)
		assert.Equal(t, "s3cr3t", store.Read(refused.Old).S("secret"), name)
		assert.Equal(t, "store: "+name+" on orders: condition not met", err.Error())
		assert.False(t, store.Transient(err), name)
	}
}

func TestOtherErrorsKeepTheirCauseAndNameTheCall(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route to host")
	table := store.NewTable(&script{err: cause}, "orders")
	ctx := t.Context()
	calls := map[string]func() error{
		"GetItem": func() error { _, err := table.GetItem(ctx, &dynamodb.GetItemInput{}); return err },
		"PutItem": func() error { _, err := table.PutItem(ctx, &dynamodb.PutItemInput{}); return err },
		"Query":   func() error { _, err := table.QueryIndex(ctx, "i", &dynamodb.QueryInput{}); return err },
		"BatchWriteItem": func() error {
			return table.BatchWriteItem(ctx, store.Batch{Key: []string{"pk"}, Puts: []store.Item{{"pk": store.S("a")}}})
		},
		"BatchGetItem": func() error {
			_, err := table.BatchGetItem(ctx, types.KeysAndAttributes{Keys: []store.Item{{"pk": store.S("a")}}})
			return err
		},
	}
	for name, call := range calls {
		err := call()
		require.ErrorIs(t, err, cause, name)
		require.NotErrorIs(t, err, store.ErrConditionFailed, name)
		part := ""
		if strings.HasPrefix(name, "Batch") {
			part = "1 of the batch left: "
		}
		assert.Equal(t, "store: "+name+" on orders: "+part+"no route to host", err.Error())
	}
}
