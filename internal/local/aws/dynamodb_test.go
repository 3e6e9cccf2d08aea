package aws_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
)

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}

type item = map[string]types.AttributeValue

// table makes a table with the key pk of its own for the test.
func table(t *testing.T, c *dynamodb.Client) string {
	t.Helper()
	name := unique("table")
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: sdk.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: sdk.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: sdk.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	require.NoError(t, err)
	return name
}

func put(t *testing.T, c *dynamodb.Client, name string, i item) {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: i})
	require.NoError(t, err)
}

func get(t *testing.T, c *dynamodb.Client, name, pk string) item {
	t.Helper()
	out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: item{"pk": s(pk)}, ConsistentRead: sdk.Bool(true)})
	require.NoError(t, err)
	return out.Item
}

func add(name, pk string) *types.Update {
	return &types.Update{
		TableName: &name, Key: item{"pk": s(pk)}, UpdateExpression: sdk.String("ADD hits :one"),
		ExpressionAttributeValues: item{":one": n(1)},
	}
}

// A canceled transaction runs again and again beside plain writes of the same table. Each acknowledged write must be there
// at the end, none of a canceled one may be, and no read may see what was taken back.
func TestCanceledTransactionsTakeNothingBack(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	put(t, c, name, item{"pk": s("taken")})
	const writers, each = 64, 6
	problems := make(chan error, writers*each*2)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				problems <- oneTurn(t.Context(), c, name, w, i)
			}
		})
	}
	wg.Wait()
	close(problems)
	for err := range problems {
		require.NoError(t, err)
	}
	for w := range writers {
		got := get(t, c, name, fmt.Sprint("writer-", w))
		if w%2 == 1 {
			assert.Nil(t, got, "what a canceled transaction wrote")
			continue
		}
		assert.Equal(t, item{"pk": s(fmt.Sprint("writer-", w)), "hits": n(each)}, got)
	}
}

// oneTurn writes plainly in even turns and is canceled in odd ones.
func oneTurn(ctx context.Context, c *dynamodb.Client, name string, w, i int) error {
	pk := fmt.Sprint("writer-", w)
	if w%2 == 0 {
		_, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &name, Key: item{"pk": s(pk)}, UpdateExpression: sdk.String("ADD hits :one"), ExpressionAttributeValues: item{":one": n(1)},
		})
		return err
	}
	if i%2 == 0 {
		out, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: &name, Key: item{"pk": s(pk)}})
		if err == nil && out.Item != nil {
			return errors.New("a read saw what a canceled transaction wrote")
		}
		return err
	}
	_, err := c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: add(name, pk)},
		{Put: &types.Put{TableName: &name, Item: item{"pk": s("taken")}, ConditionExpression: sdk.String("attribute_not_exists(pk)")}},
	}})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return fmt.Errorf("want a cancellation, got %w", err)
	}
	return nil
}

func TestTransactionToken(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	name := table(t, c)
	hit := func(token, pk string, condition *string) error {
		u := add(name, pk)
		u.ConditionExpression = condition
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: &token, TransactItems: []types.TransactWriteItem{{Update: u}},
		})
		return err
	}
	hits := func(pk string) types.AttributeValue { return get(t, c, name, pk)["hits"] }

	require.NoError(t, hit("one", "a", nil))
	require.NoError(t, hit("one", "a", nil))
	assert.Equal(t, n(1), hits("a"), "applied once")
	requireCode(t, hit("one", "b", nil), "IdempotentParameterMismatchException", "same client token")
	require.NoError(t, hit("two", "a", nil))
	assert.Equal(t, n(2), hits("a"), "another token is another transaction")

	exists := sdk.String("attribute_exists(pk)")
	requireCode(t, hit("three", "c", exists), "TransactionCanceledException", "ConditionalCheckFailed")
	put(t, c, name, item{"pk": s("c")})
	require.NoError(t, hit("three", "c", exists), "a canceled transaction may be tried again")
}

func TestTransactionTokenEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	name := table(t, c)
	hit := func() {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: sdk.String("one"), TransactItems: []types.TransactWriteItem{{Update: add(name, "a")}},
		})
		require.NoError(t, err)
	}
	hit()
	l.advance(10*time.Minute - time.Second)
	hit()
	assert.Equal(t, n(1), get(t, c, name, "a")["hits"])
	l.advance(time.Second)
	hit()
	assert.Equal(t, n(2), get(t, c, name, "a")["hits"])
}

func TestCountsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	writes := func(count int) error {
		var requests []types.WriteRequest
		for i := range count {
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: item{"pk": s(fmt.Sprint("w", i))}}})
		}
		_, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: requests}})
		return err
	}
	gets := func(count int) error {
		var keys []item
		for i := range count {
			keys = append(keys, item{"pk": s(fmt.Sprint("w", i))})
		}
		_, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{name: {Keys: keys}}})
		return err
	}
	transaction := func(count int) error {
		var items []types.TransactWriteItem
		for i := range count {
			items = append(items, types.TransactWriteItem{Update: add(name, fmt.Sprint("t", i))})
		}
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
		return err
	}
	requireCode(t, writes(26), "ValidationException", "Too many items requested for the BatchWriteItem call")
	assert.Nil(t, get(t, c, name, "w0"), "nothing of a refused batch is written")
	require.NoError(t, writes(25))
	requireCode(t, gets(101), "ValidationException", "less than or equal to 100")
	require.NoError(t, gets(100))
	requireCode(t, transaction(101), "ValidationException", "less than or equal to 100")
	require.NoError(t, transaction(100))
}

func TestBatchRefusesDuplicates(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	putOf := func(v string) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: item{"pk": s("a"), "v": s(v)}}}
	}
	deletion := types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: item{"pk": s("a")}}}
	for what, requests := range map[string][]types.WriteRequest{
		"two puts":           {putOf("1"), putOf("2")},
		"put and delete":     {putOf("1"), deletion},
		"the same put twice": {putOf("1"), putOf("1")},
	} {
		_, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: requests}})
		requireCode(t, err, "ValidationException", "Provided list of item keys contains duplicates")
		assert.Nil(t, get(t, c, name, "a"), what)
	}
	missing := map[string][]types.WriteRequest{name + "-none": {putOf("1")}}
	_, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: missing})
	requireCode(t, err, "ResourceNotFoundException", "")
}

func TestTransactionRefusesTwoOperationsOnOneItem(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: add(name, "a")},
		{ConditionCheck: &types.ConditionCheck{TableName: &name, Key: item{"pk": s("a")}, ConditionExpression: sdk.String("attribute_exists(pk)")}},
	}})
	requireCode(t, err, "ValidationException", "multiple operations on one item")
	assert.Nil(t, get(t, c, name, "a"))
}

func TestTransactGetTakesAHundred(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	read := func(count int) (*dynamodb.TransactGetItemsOutput, error) {
		var items []types.TransactGetItem
		for i := range count {
			items = append(items, types.TransactGetItem{Get: &types.Get{TableName: &name, Key: item{"pk": s(fmt.Sprint("i", i))}}})
		}
		return c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: items})
	}
	put(t, c, name, item{"pk": s("i0")})
	put(t, c, name, item{"pk": s("i60")})
	put(t, c, name, item{"pk": s("i99")})
	out, err := read(100)
	require.NoError(t, err)
	require.Len(t, out.Responses, 100)
	for i, r := range out.Responses {
		assert.Equal(t, i == 0 || i == 60 || i == 99, r.Item != nil, i)
	}
	_, err = read(101)
	requireCode(t, err, "ValidationException", "")
}

func TestItemSize(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	large := strings.Repeat("x", 400<<10)
	update := func(pk, v string) error {
		_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &name, Key: item{"pk": s(pk)}, UpdateExpression: sdk.String("SET v = :v"), ExpressionAttributeValues: item{":v": s(v)},
		})
		return err
	}
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item{"pk": s("a"), "v": s(large)}})
	requireCode(t, err, "ValidationException", "Item size has exceeded the maximum allowed size")
	requireCode(t, update("b", large), "ValidationException", "exceeded the maximum allowed size")
	assert.Nil(t, get(t, c, name, "b"), "a refused update leaves nothing")
	_, err = c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &name, Item: item{"pk": s("c"), "v": s(large)}}},
	}})
	requireCode(t, err, "ValidationException", "exceeded the maximum allowed size")

	put(t, c, name, item{"pk": s("d")})
	requireCode(t, update("d", large), "ValidationException", "exceeded the maximum allowed size")
	assert.Equal(t, item{"pk": s("d")}, get(t, c, name, "d"), "an item that was there stays")
	require.NoError(t, update("e", large[:400_000]))
	requireCode(t, update("f", large[:405_001]), "ValidationException", "") // AWS takes 409,600: a known difference
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	name, plain := table(t, c), ""
	t.Run("other", func(t *testing.T) { plain = table(t, c) })
	_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: sdk.String("ttl"), Enabled: sdk.Bool(true)},
	})
	require.NoError(t, err)
	now := l.Now()
	put(t, c, plain, item{"pk": s("no ttl on this table"), "ttl": n(1)})
	for pk, ttl := range (item{
		"past": n(now.Unix() - 1), "now": n(now.Unix()), "future": n(now.Unix() + 60), "text": s("1"),
		"milliseconds": n(now.UnixMilli()), "six years ago": n(now.AddDate(-6, 0, 0).Unix()),
	}) {
		put(t, c, name, item{"pk": s(pk), "ttl": ttl})
	}
	put(t, c, name, item{"pk": s("none")})
	left := func() map[string]bool {
		out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name})
		require.NoError(t, err)
		keys := map[string]bool{}
		for _, i := range out.Items {
			keys[i["pk"].(*types.AttributeValueMemberS).Value] = true
		}
		return keys
	}
	want := map[string]bool{"past": true, "now": true, "future": true, "text": true, "milliseconds": true, "six years ago": true, "none": true}
	assert.Equal(t, want, left(), "expired items stay until they are swept")
	require.NoError(t, l.Sweep(t.Context()))
	delete(want, "past")
	assert.Equal(t, want, left())
	l.advance(2 * time.Minute)
	require.NoError(t, l.Sweep(t.Context()))
	maps.DeleteFunc(want, func(pk string, _ bool) bool { return pk == "now" || pk == "future" })
	assert.Equal(t, want, left())
	assert.NotNil(t, get(t, c, plain, "no ttl on this table"))
}

func TestSweepTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := start(t, func(c *aws.Config) { c.Backend = "http://127.0.0.1:1" })
	require.ErrorContains(t, l.Sweep(t.Context()), "the local store does not answer")
}

func TestCapacityIsNotMadeUp(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	total := types.ReturnConsumedCapacityTotal
	written, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item{"pk": s("a"), "v": s(strings.Repeat("x", 5000))}, ReturnConsumedCapacity: total})
	require.NoError(t, err)
	assert.Nil(t, written.ConsumedCapacity)
	read, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &name, Key: item{"pk": s("a")}, ReturnConsumedCapacity: total})
	require.NoError(t, err)
	assert.Nil(t, read.ConsumedCapacity)
	assert.Len(t, read.Item, 2)
	batch, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{name: {Keys: []item{{"pk": s("a")}}}}})
	require.NoError(t, err)
	assert.Empty(t, batch.ConsumedCapacity)
	assert.Len(t, batch.Responses[name], 1)
}

func TestFailedConditionsReturnTheItem(t *testing.T) {
	t.Parallel()
	c := start(t).dynamodb(t)
	name := table(t, c)
	old := item{"pk": s("a"), "v": s("old")}
	put(t, c, name, old)
	absent := sdk.String("attribute_not_exists(pk)")
	for _, returned := range []types.ReturnValuesOnConditionCheckFailure{types.ReturnValuesOnConditionCheckFailureAllOld, types.ReturnValuesOnConditionCheckFailureNone} {
		var want item
		if returned == types.ReturnValuesOnConditionCheckFailureAllOld {
			want = old
		}
		var failed *types.ConditionalCheckFailedException
		_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: item{"pk": s("a")}, ConditionExpression: absent, ReturnValuesOnConditionCheckFailure: returned})
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, want, failed.Item)
		_, err = c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: item{"pk": s("a")}, ConditionExpression: absent, ReturnValuesOnConditionCheckFailure: returned})
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, want, failed.Item)
		_, err = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: &name, Key: item{"pk": s("a")}, UpdateExpression: sdk.String("REMOVE v"), ConditionExpression: absent, ReturnValuesOnConditionCheckFailure: returned})
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, want, failed.Item)

		u := add(name, "b")
		_, err = c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Update: u}, {Put: &types.Put{TableName: &name, Item: item{"pk": s("a")}, ConditionExpression: absent, ReturnValuesOnConditionCheckFailure: returned}},
		}})
		var canceled *types.TransactionCanceledException
		require.ErrorAs(t, err, &canceled)
		require.Len(t, canceled.CancellationReasons, 2)
		assert.Equal(t, "None", *canceled.CancellationReasons[0].Code)
		assert.Equal(t, "ConditionalCheckFailed", *canceled.CancellationReasons[1].Code)
		assert.Equal(t, want, canceled.CancellationReasons[1].Item)
	}
}

// events are the changes in a table's stream as name, key and value, read in parts of the given size.
func events(t *testing.T, l *local, name string, limit int) []string {
	t.Helper()
	call := func(action string, body map[string]any) map[string]any {
		status, answer := l.post(t, "dynamodb", "DynamoDBStreams_20120810."+action, body)
		require.Equal(t, 200, status, answer)
		return answer
	}
	arn := call("ListStreams", map[string]any{"TableName": name})["Streams"].([]any)[0].(map[string]any)["StreamArn"]
	shard := call("DescribeStream", map[string]any{"StreamArn": arn})["StreamDescription"].(map[string]any)["Shards"].([]any)[0].(map[string]any)["ShardId"]
	iterator := call("GetShardIterator", map[string]any{"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"]
	var all []string
	for range 20 {
		answer := call("GetRecords", map[string]any{"ShardIterator": iterator, "Limit": limit})
		for _, r := range answer["Records"].([]any) {
			change := r.(map[string]any)["dynamodb"].(map[string]any)
			image, _ := change["NewImage"].(map[string]any)
			all = append(all, fmt.Sprint(r.(map[string]any)["eventName"], change["Keys"], image["v"]))
		}
		iterator = answer["NextShardIterator"]
	}
	return all
}

func TestStreamRecords(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	name := table(t, c)
	update := func(pk, v string) {
		_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &name, Key: item{"pk": s(pk)}, UpdateExpression: sdk.String("SET v = :v"), ExpressionAttributeValues: item{":v": s(v)},
		})
		require.NoError(t, err)
	}
	update("a", "1")
	update("a", "1")
	update("a", "2")
	put(t, c, name, item{"pk": s("bare")})
	_, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: item{"pk": s("bare")}})
	require.NoError(t, err)
	put(t, c, name, item{"pk": s("bare")})
	update("b", "3")
	want := []string{
		"INSERTmap[pk:map[S:a]] map[S:1]", "MODIFYmap[pk:map[S:a]] map[S:2]",
		"INSERTmap[pk:map[S:bare]] <nil>", "REMOVEmap[pk:map[S:bare]] <nil>", "INSERTmap[pk:map[S:bare]] <nil>",
		"INSERTmap[pk:map[S:b]] map[S:3]",
	}
	for _, limit := range []int{1, 2, 3, 1000} {
		assert.Equal(t, want, events(t, l, name, limit), "limit %d", limit)
	}
}
