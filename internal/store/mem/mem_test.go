package mem_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// What DynamoDB does is in the cases of storetest. Here is what only this store has, and the texts of its refusals.

var table = aws.String("t")

func newDB() *mem.DB {
	return mem.New(mem.Schema{Name: "t", Hash: "pk", Indexes: []mem.Index{{Name: "by-kind", Hash: "kind", Projection: types.ProjectionTypeKeysOnly}}})
}

func key(pk string) store.Item { return store.Item{"pk": store.S(pk)} }

func put(t testing.TB, db store.DB, it store.Item) {
	t.Helper()
	_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: it})
	require.NoError(t, err)
}

func TestNewRefusesWrongSchemas(t *testing.T) {
	t.Parallel()
	for name, schemas := range map[string][]mem.Schema{
		"no name":       {{Hash: "pk"}},
		"no key":        {{Name: "t"}},
		"the same name": {{Name: "t", Hash: "pk"}, {Name: "t", Hash: "id"}},
	} {
		require.Panics(t, func() { mem.New(schemas...) }, name)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	db := newDB()
	require.Empty(t, db.Items("t"))
	require.Nil(t, db.Items("none"))
	for _, pk := range []string{"b", "a", "c"} {
		put(t, db, key(pk))
	}
	require.Equal(t, []store.Item{key("a"), key("b"), key("c")}, db.Items("t"))
}

// Neither what a caller passed in nor what it got back is what is stored.
func TestCallersShareNoMemory(t *testing.T) {
	t.Parallel()
	build := func() store.Item {
		return store.Item{"pk": store.S("a"), "b": store.B([]byte{1}), "m": &types.AttributeValueMemberM{Value: store.Item{"x": store.N(1)}},
			"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{store.S("x")}}, "ss": &types.AttributeValueMemberSS{Value: []string{"x"}},
			"bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}}}, "t": store.Bool(true), "z": &types.AttributeValueMemberNULL{Value: true}}
	}
	spoil := func(it store.Item) {
		it["b"].(*types.AttributeValueMemberB).Value[0] = 9
		it["m"].(*types.AttributeValueMemberM).Value["x"] = store.N(9)
		it["l"].(*types.AttributeValueMemberL).Value[0] = store.S("spoiled")
		it["ss"].(*types.AttributeValueMemberSS).Value[0] = "spoiled"
		it["bs"].(*types.AttributeValueMemberBS).Value[0][0] = 9
		it["t"].(*types.AttributeValueMemberBOOL).Value = false
	}
	db, in := newDB(), build()
	put(t, db, in)
	spoil(in)
	got, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key("a")})
	require.NoError(t, err)
	require.Equal(t, build(), got.Item)
	spoil(got.Item)
	spoil(db.Items("t")[0])
	for _, which := range []types.ReturnValue{types.ReturnValueAllOld, types.ReturnValueAllNew} {
		out, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("a"), ReturnValues: which})
		require.NoError(t, err)
		spoil(out.Attributes)
	}
	_, err = db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: key("a"), ConditionExpression: aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	var refused *types.ConditionalCheckFailedException
	require.ErrorAs(t, err, &refused)
	spoil(refused.Item)
	require.Equal(t, []store.Item{build()}, db.Items("t"))
}

// An update never shows half done: the item that it met is replaced, not changed.
func TestUpdateOfNestedValuesLeavesTheOldItem(t *testing.T) {
	t.Parallel()
	db := newDB()
	put(t, db, store.Item{"pk": store.S("a"), "m": &types.AttributeValueMemberM{Value: store.Item{"x": store.N(1)}}})
	_, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("a"), UpdateExpression: aws.String("SET m.x = :v, m.y.z = :v"),
		ExpressionAttributeValues: store.Item{":v": store.N(2)}})
	require.ErrorContains(t, err, "invalid for update")
	require.Equal(t, store.Item{"x": store.N(1)}, db.Items("t")[0]["m"].(*types.AttributeValueMemberM).Value)
}

// Errors come wrapped as the client's do, with its types inside.
func TestErrorsAreTheClients(t *testing.T) {
	t.Parallel()
	db := newDB()
	_, err := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("none"), Key: key("a")})
	var operation *smithy.OperationError
	require.ErrorAs(t, err, &operation)
	require.Equal(t, []string{"DynamoDB", "GetItem"}, []string{operation.Service(), operation.Operation()})
	var missing *types.ResourceNotFoundException
	require.ErrorAs(t, err, &missing)
	_, err = db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table})
	var coded smithy.APIError
	require.ErrorAs(t, err, &coded)
	require.Equal(t, []any{"ValidationException", smithy.FaultClient}, []any{coded.ErrorCode(), coded.ErrorFault()})
}

// A caller that has given up changes nothing.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	db := newDB()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range everyCall(ctx, db) {
		require.ErrorIs(t, err, context.Canceled, name)
	}
	require.Empty(t, db.Items("t"))
}

// everyCall makes each call once, on the item "a", and gives its error.
func everyCall(ctx context.Context, db store.DB) map[string]error {
	errs := map[string]error{}
	_, errs["GetItem"] = db.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key("a")})
	_, errs["PutItem"] = db.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: key("a")})
	_, errs["UpdateItem"] = db.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key("a")})
	_, errs["DeleteItem"] = db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key("a")})
	_, errs["Query"] = db.Query(ctx, &dynamodb.QueryInput{TableName: table, KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: store.Item{":pk": store.S("a")}})
	_, errs["QueryIndex"] = db.Query(ctx, &dynamodb.QueryInput{TableName: table, IndexName: aws.String("by-kind"), KeyConditionExpression: aws.String("kind = :pk"),
		ExpressionAttributeValues: store.Item{":pk": store.S("a")}})
	_, errs["BatchGetItem"] = db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"t": {Keys: []store.Item{key("a")}}}})
	_, errs["BatchWriteItem"] = db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"t": {{PutRequest: &types.PutRequest{Item: key("a")}}}}})
	for name, w := range everyWrite("a") {
		_, errs[name] = db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{w}})
	}
	return errs
}

// everyWrite is each write of a transaction, on one item.
func everyWrite(pk string) map[string]types.TransactWriteItem {
	return map[string]types.TransactWriteItem{
		"transactional PutItem":    {Put: &types.Put{TableName: table, Item: key(pk)}},
		"transactional UpdateItem": {Update: &types.Update{TableName: table, Key: key(pk), UpdateExpression: aws.String("REMOVE v")}},
		"transactional DeleteItem": {Delete: &types.Delete{TableName: table, Key: key(pk)}},
		"ConditionCheckItem": {ConditionCheck: &types.ConditionCheck{TableName: table, Key: key(pk), ConditionExpression: aws.String("attribute_not_exists(pk) OR pk = :pk"),
			ExpressionAttributeValues: store.Item{":pk": store.S(pk)}}},
	}
}

// What the store does not carry out it refuses, so that no test passes by it.
func TestUnsupportedParameters(t *testing.T) {
	t.Parallel()
	db, total := newDB(), types.ReturnConsumedCapacityTotal
	expected := map[string]types.ExpectedAttributeValue{"v": {Exists: aws.Bool(false)}}
	legacy := map[string]types.Condition{"pk": {}}
	gets := map[string]dynamodb.GetItemInput{"AttributesToGet": {AttributesToGet: []string{"v"}}, "ReturnConsumedCapacity": {ReturnConsumedCapacity: total}}
	for want, in := range gets {
		in.TableName, in.Key = table, key("a")
		_, err := db.GetItem(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	for want, in := range map[string]dynamodb.PutItemInput{"Expected": {Expected: expected}, "ReturnConsumedCapacity": {ReturnConsumedCapacity: total}, "ReturnItemCollectionMetrics": {ReturnItemCollectionMetrics: "SIZE"}} {
		in.TableName, in.Item = table, key("a")
		_, err := db.PutItem(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	for want, in := range map[string]dynamodb.UpdateItemInput{"Expected": {Expected: expected}, "AttributeUpdates": {AttributeUpdates: map[string]types.AttributeValueUpdate{"v": {}}},
		"ReturnConsumedCapacity": {ReturnConsumedCapacity: total}} {
		in.TableName, in.Key = table, key("a")
		_, err := db.UpdateItem(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	for want, in := range map[string]dynamodb.DeleteItemInput{"Expected": {ConditionalOperator: types.ConditionalOperatorAnd}, "ReturnConsumedCapacity": {ReturnConsumedCapacity: total}} {
		in.TableName, in.Key = table, key("a")
		_, err := db.DeleteItem(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	for want, in := range map[string]dynamodb.QueryInput{"KeyConditions": {KeyConditions: legacy}, "QueryFilter": {QueryFilter: legacy}, "ReturnConsumedCapacity": {ReturnConsumedCapacity: total}} {
		in.TableName = table
		_, err := db.Query(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	keys := map[string]types.KeysAndAttributes{"t": {Keys: []store.Item{key("a")}, AttributesToGet: []string{"v"}}}
	_, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: keys})
	require.ErrorContains(t, err, "AttributesToGet")
	_, err = db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: keys, ReturnConsumedCapacity: total})
	require.ErrorContains(t, err, "ReturnConsumedCapacity")
	writes := map[string][]types.WriteRequest{"t": {{PutRequest: &types.PutRequest{Item: key("a")}}}}
	_, err = db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: writes, ReturnItemCollectionMetrics: "SIZE"})
	require.ErrorContains(t, err, "ReturnItemCollectionMetrics")
	_, err = db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: writes, ReturnConsumedCapacity: total})
	require.ErrorContains(t, err, "ReturnConsumedCapacity")
	_, err = db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ReturnConsumedCapacity: total})
	require.ErrorContains(t, err, "ReturnConsumedCapacity")
	_, err = db.PutItem(t.Context(), &dynamodb.PutItemInput{Item: key("a")})
	require.ErrorContains(t, err, "tableName", "the SDK's client refuses it too")
	require.Empty(t, db.Items("t"))
}

// The texts are DynamoDB's, since people search for them.
func TestTexts(t *testing.T) {
	t.Parallel()
	db := newDB()
	put(t, db, store.Item{"pk": store.S("a"), "s": store.S("x")})
	value := store.Item{":v": store.S("x")}
	for want, in := range map[string]dynamodb.UpdateItemInput{
		`Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "="`:                                                                                          {UpdateExpression: aws.String("SET s =")},
		`Invalid UpdateExpression: Syntax error; token: "w", near: ":v w ="`:                                                                                         {UpdateExpression: aws.String("SET s = :v w = :v"), ExpressionAttributeValues: value},
		`Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status`:                                                                   {UpdateExpression: aws.String("SET status = :v"), ExpressionAttributeValues: value},
		`Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :w`:                                             {UpdateExpression: aws.String("SET s = :w")},
		`Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute name: #w`:                                        {UpdateExpression: aws.String("REMOVE #w")},
		`Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [s], path two: [s, t, [1]]`:      {UpdateExpression: aws.String("SET s = :v, s.t[1] = :v"), ExpressionAttributeValues: value},
		`Invalid UpdateExpression: The "SET" section can only be used once in an update expression;`:                                                                 {UpdateExpression: aws.String("SET s = :v SET t = :v"), ExpressionAttributeValues: value},
		`Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: N,SS,NS,BS`:                        {UpdateExpression: aws.String("ADD s :v"), ExpressionAttributeValues: value},
		`Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}`:                                                                              {UpdateExpression: aws.String("REMOVE s"), ExpressionAttributeValues: value},
		`Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}`:                                                                           {UpdateExpression: aws.String("REMOVE s"), ExpressionAttributeNames: map[string]string{"#b": "b", "#a": "a"}},
		`ExpressionAttributeValues can only be specified when using expressions`:                                                                                     {ExpressionAttributeValues: value},
		`ExpressionAttributeValues must not be empty`:                                                                                                                {ExpressionAttributeValues: store.Item{}},
		`ExpressionAttributeNames contains invalid key: Syntax error; key: "s"`:                                                                                      {ExpressionAttributeNames: map[string]string{"s": "s"}},
		`ExpressionAttributeNames contains invalid value`:                                                                                                            {ExpressionAttributeNames: map[string]string{"#s": ""}},
		`ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x; key: :v`:                                         {ExpressionAttributeValues: store.Item{":v": &types.AttributeValueMemberN{Value: "x"}}},
		`ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes; key: :v`:           {ExpressionAttributeValues: store.Item{":v": nil}},
		`One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key`:                                                   {UpdateExpression: aws.String("SET pk = :v"), ExpressionAttributeValues: value},
		`The provided expression refers to an attribute that does not exist in the item`:                                                                             {UpdateExpression: aws.String("SET s = gone")},
		`An operand in the update expression has an incorrect data type`:                                                                                             {UpdateExpression: aws.String("SET s = s + s")},
		`The document path provided in the update expression is invalid for update`:                                                                                  {UpdateExpression: aws.String("REMOVE gone.s")},
		`Item size to update has exceeded the maximum allowed size`:                                                                                                  {UpdateExpression: aws.String("SET big = :v"), ExpressionAttributeValues: store.Item{":v": store.S(strings.Repeat("x", 400<<10))}},
		`Invalid ConditionExpression: Invalid function name; function: exists`:                                                                                       {ConditionExpression: aws.String("exists(s)")},
		`Invalid ConditionExpression: The expression has redundant parentheses;`:                                                                                     {ConditionExpression: aws.String("((attribute_exists(s)))")},
		`Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1`:                  {ConditionExpression: aws.String("contains(s)")},
		`Invalid ConditionExpression: Operator or function requires a document path; operator or function: attribute_exists`:                                         {ConditionExpression: aws.String("attribute_exists(:v)"), ExpressionAttributeValues: value},
		`Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [s]`: {ConditionExpression: aws.String("s = s")},
		`Value 'SOME' at 'returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]`:                    {ReturnValuesOnConditionCheckFailure: "SOME"},
		`The conditional request failed`: {ConditionExpression: aws.String("attribute_exists(gone)")},
	} {
		in.TableName, in.Key = table, key("a")
		_, err := db.UpdateItem(t.Context(), &in)
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, []store.Item{{"pk": store.S("a"), "s": store.S("x")}}, db.Items("t"))
}

// A token stands for its transaction for ten minutes, and for exactly that one.
func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	db := newDB().WithClock(func() time.Time { return now })
	run := func(token string, pk string, amount types.AttributeValue, names map[string]string) error {
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token, TransactItems: []types.TransactWriteItem{
			{Update: &types.Update{TableName: table, Key: key(pk), UpdateExpression: aws.String("ADD #v :v"), ExpressionAttributeNames: names, ExpressionAttributeValues: store.Item{":v": amount}}},
			{Put: &types.Put{TableName: table, Item: key("other")}}, {Delete: &types.Delete{TableName: table, Key: key("gone")}},
			{ConditionCheck: &types.ConditionCheck{TableName: table, Key: key("nobody"), ConditionExpression: aws.String("attribute_not_exists(pk)")}}}})
		return err
	}
	count := func() types.AttributeValue { return db.Items("t")[0]["n"] }
	one, n := store.N(1), map[string]string{"#v": "n"}
	require.NoError(t, run("token", "a", one, n))
	now = now.Add(10*time.Minute - 1)
	require.NoError(t, run("token", "a", one, n))
	require.Equal(t, store.N(1), count())
	var mismatch *types.IdempotentParameterMismatchException
	require.ErrorAs(t, run("token", "b", one, n), &mismatch)
	require.ErrorAs(t, run("token", "a", store.N(2), n), &mismatch)
	require.ErrorAs(t, run("token", "a", &types.AttributeValueMemberNS{Value: []string{"1"}}, n), &mismatch)
	require.ErrorAs(t, run("token", "a", one, map[string]string{"#v": "w"}), &mismatch)
	now = now.Add(1)
	require.NoError(t, run("token", "a", one, n))
	require.Equal(t, store.N(2), count())
	require.Error(t, run("", "a", one, n), "an empty token is no token")
}

// Equal values written otherwise are another transaction to DynamoDB only if they differ as values: order of sets and maps does not.
func TestTokenOfEqualValues(t *testing.T) {
	t.Parallel()
	db := newDB()
	run := func(v types.AttributeValue) error {
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String("token"),
			TransactItems: []types.TransactWriteItem{{Put: &types.Put{TableName: table, Item: store.Item{"pk": store.S("a"), "v": v}}}}})
		return err
	}
	value := func(set []string, text string, truth bool) types.AttributeValue {
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberSS{Value: set}, &types.AttributeValueMemberM{Value: store.Item{"x": store.S(text), "y": store.Bool(truth)}}}}
	}
	require.NoError(t, run(value([]string{"a", "b"}, "text", true)))
	require.NoError(t, run(value([]string{"b", "a"}, "text", true)))
	var mismatch *types.IdempotentParameterMismatchException
	for _, other := range []types.AttributeValue{value([]string{"b"}, "text", true), value([]string{"a", "b"}, "other", true), value([]string{"a", "b"}, "text", false), store.S("x")} {
		require.ErrorAs(t, run(other), &mismatch)
	}
}

// Sums of concurrent transfers stay what they were, and each refusal is a condition's.
func TestConcurrentTransactions(t *testing.T) {
	t.Parallel()
	db := newDB()
	for i := range 4 {
		put(t, db, store.Item{"pk": store.S(fmt.Sprint(i)), "n": store.N(10)})
	}
	move := func(from, to int) error {
		one := store.Item{":one": store.N(1)}
		_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Update: &types.Update{TableName: table, Key: key(fmt.Sprint(from)), UpdateExpression: aws.String("SET n = n - :one"), ConditionExpression: aws.String("n >= :one"), ExpressionAttributeValues: one}},
			{Update: &types.Update{TableName: table, Key: key(fmt.Sprint(to)), UpdateExpression: aws.String("SET n = n + :one"), ExpressionAttributeValues: one}}}})
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 64*50)
	for worker := range 64 {
		wg.Go(func() {
			for i := range 50 {
				errs <- move((worker+i)%2, 2+(worker+i)%2)
			}
		})
	}
	wg.Wait()
	close(errs)
	done := 0
	for err := range errs {
		var canceled *types.TransactionCanceledException
		if err == nil {
			done++
		} else {
			require.ErrorAs(t, err, &canceled)
		}
	}
	require.Equal(t, 20, done, "what was there to move")
	var left []int64
	for _, it := range db.Items("t") {
		left = append(left, store.Read(it).N("n"))
	}
	require.Equal(t, []int64{0, 0, 20, 20}, left)
}

// A batch is answered up to 16 MB; the keys that are left over complete it.
func TestBatchOverSixteenMegabytes(t *testing.T) {
	t.Parallel()
	db := newDB()
	asked := types.KeysAndAttributes{}
	for i := range 50 {
		put(t, db, store.Item{"pk": store.S(fmt.Sprint(i)), "v": store.S(strings.Repeat("x", 390<<10))})
		asked.Keys = append(asked.Keys, key(fmt.Sprint(i)))
	}
	out, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"t": asked}})
	require.NoError(t, err)
	require.Len(t, out.Responses["t"], 42)
	rest, err := db.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: out.UnprocessedKeys})
	require.NoError(t, err)
	require.Len(t, rest.Responses["t"], 8)
	require.Empty(t, rest.UnprocessedKeys)
}

func TestViewAllowsWhatIsGranted(t *testing.T) {
	t.Parallel()
	all := []string{"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"}
	grants := []mem.Grant{{Table: "t", Actions: all}, {Table: "t", Index: "by-kind", Actions: []string{"Query"}}}
	view := newDB().As(grants...)
	require.Empty(t, view.Used())
	for name, err := range everyCall(t.Context(), view) {
		require.NoError(t, err, name)
	}
	require.Equal(t, grants, view.Used())
	require.Empty(t, view.Denied())
}

// Each call with every grant but its own is refused as IAM refuses it, and changes nothing.
func TestViewRefusesWhatIsNot(t *testing.T) {
	t.Parallel()
	for call, needs := range map[string]mem.Grant{
		"GetItem":                  {Table: "t", Actions: []string{"GetItem"}},
		"PutItem":                  {Table: "t", Actions: []string{"PutItem"}},
		"UpdateItem":               {Table: "t", Actions: []string{"UpdateItem"}},
		"DeleteItem":               {Table: "t", Actions: []string{"DeleteItem"}},
		"Query":                    {Table: "t", Actions: []string{"Query"}},
		"QueryIndex":               {Table: "t", Index: "by-kind", Actions: []string{"Query"}},
		"BatchGetItem":             {Table: "t", Actions: []string{"BatchGetItem"}},
		"BatchWriteItem":           {Table: "t", Actions: []string{"BatchWriteItem"}},
		"transactional PutItem":    {Table: "t", Actions: []string{"PutItem"}},
		"transactional UpdateItem": {Table: "t", Actions: []string{"UpdateItem"}},
		"transactional DeleteItem": {Table: "t", Actions: []string{"DeleteItem"}},
		"ConditionCheckItem":       {Table: "t", Actions: []string{"ConditionCheckItem"}},
	} {
		grants := []mem.Grant{{Table: "other", Actions: needs.Actions}, {Table: "t", Index: "another", Actions: needs.Actions}}
		for _, action := range []string{"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem", "TransactWriteItems"} {
			if needs.Index != "" || action != needs.Actions[0] {
				grants = append(grants, mem.Grant{Table: "t", Actions: []string{action}})
			}
		}
		if call != "QueryIndex" {
			grants = append(grants, mem.Grant{Table: "t", Index: "by-kind", Actions: []string{"Query"}})
		}
		db := newDB()
		view := db.As(grants...)
		err := everyCall(t.Context(), view)[call]
		var denied smithy.APIError
		require.ErrorAs(t, err, &denied, call)
		require.Equal(t, "AccessDeniedException", denied.ErrorCode(), call)
		resource := "table/t"
		if needs.Index != "" {
			resource += "/index/by-kind"
		}
		require.ErrorContains(t, err, "not authorized to perform: dynamodb:"+needs.Actions[0]+" on resource: arn:aws:dynamodb:us-east-1:111122223333:"+resource+" because", call)
		require.Equal(t, []mem.Grant{needs}, view.Denied(), call)
		for _, used := range view.Used() {
			if used.Table == needs.Table && used.Index == needs.Index {
				require.NotContains(t, used.Actions, needs.Actions[0], call)
			}
		}
	}
}

// A transaction or batch of which one part is not granted is not done, nor is its other part noted as used.
func TestViewRefusesWhole(t *testing.T) {
	t.Parallel()
	db := mem.New(mem.Schema{Name: "t", Hash: "pk"}, mem.Schema{Name: "secret", Hash: "pk"})
	view := db.As(mem.Grant{Table: "t", Actions: []string{"PutItem", "BatchGetItem"}}, mem.Grant{Table: "secret", Actions: []string{"GetItem"}})
	_, err := view.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: table, Item: key("a")}}, {Put: &types.Put{TableName: aws.String("secret"), Item: key("a")}}}})
	require.ErrorContains(t, err, "table/secret")
	_, err = view.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"t": {Keys: []store.Item{key("a")}}, "secret": {Keys: []store.Item{key("a")}}}})
	require.ErrorContains(t, err, "dynamodb:BatchGetItem on resource")
	require.Empty(t, db.Items("t"))
	require.Empty(t, view.Used())
	require.Equal(t, []mem.Grant{{Table: "secret", Actions: []string{"BatchGetItem", "PutItem"}}}, view.Denied())
}

// A view tells nobody which tables there are.
func TestViewRefusesBeforeItLooks(t *testing.T) {
	t.Parallel()
	view := newDB().As()
	for _, in := range []*dynamodb.GetItemInput{{TableName: aws.String("none"), Key: key("a")}, {TableName: table}, {}} {
		_, err := view.GetItem(t.Context(), in)
		require.ErrorContains(t, err, "AccessDeniedException")
	}
}

func TestViewsOfOneStoreAreApart(t *testing.T) {
	t.Parallel()
	db := newDB()
	writer, reader := db.As(mem.Grant{Table: "t", Actions: []string{"PutItem"}}), db.As(mem.Grant{Table: "t", Actions: []string{"GetItem"}})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, _ = writer.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: key(fmt.Sprint(i))})
			_, _ = reader.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key(fmt.Sprint(i))})
		})
	}
	wg.Wait()
	require.Len(t, db.Items("t"), 64)
	require.Equal(t, []mem.Grant{{Table: "t", Actions: []string{"PutItem"}}}, writer.Used())
	require.Equal(t, []mem.Grant{{Table: "t", Actions: []string{"GetItem"}}}, reader.Used())
}

// FuzzExpressions: whatever the text, an expression is carried out or refused as invalid.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{"a = :a AND NOT (b[0].c <> :b OR size(#a) BETWEEN :a AND :b)", "begins_with(a, :b) or a in (:a, :b)", "SET a = if_not_exists(a, :a) + :a REMOVE b[1] ADD c :a",
		"SET b = list_append(b, b), #a.x = :b DELETE d :a", "a, b[0].c, #a", "pk = :b AND begins_with(kind, :b)", "((", "a[", "a[99999999999999999999]", "SET", "size(", "#", ":", "<>", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		db := newDB()
		item := store.Item{"pk": store.S("p"), "a": store.N(1), "b": &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberM{Value: store.Item{"c": store.N(1)}}}}}
		put(t, db, item)
		names, values := placeholders(source)
		_, condition := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item, ConditionExpression: &source, ExpressionAttributeNames: names, ExpressionAttributeValues: values})
		_, update := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("p"), UpdateExpression: &source, ExpressionAttributeNames: names, ExpressionAttributeValues: values})
		_, projection := db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key("p"), ProjectionExpression: &source, ExpressionAttributeNames: names})
		_, query := db.Query(t.Context(), &dynamodb.QueryInput{TableName: table, KeyConditionExpression: &source, ExpressionAttributeNames: names, ExpressionAttributeValues: values})
		for what, err := range map[string]error{"condition": condition, "update": update, "projection": projection, "query": query} {
			var coded smithy.APIError
			if err != nil && (!errors.As(err, &coded) || coded.ErrorCode() != "ValidationException" && coded.ErrorCode() != "ConditionalCheckFailedException") {
				t.Errorf("%s %q: %v", what, source, err)
			}
		}
		require.Len(t, db.Items("t"), 1)
	})
}

// placeholders are those that a text seems to use, so that what reads as an expression can run.
func placeholders(source string) (names map[string]string, values store.Item) {
	names = map[string]string{"#a": "m"}
	values = store.Item{":a": store.N(1), ":b": store.S("p")}
	maps.DeleteFunc(names, func(name, _ string) bool { return !strings.Contains(source, name) })
	maps.DeleteFunc(values, func(name string, _ types.AttributeValue) bool { return !strings.Contains(source, name) })
	if len(names) == 0 {
		names = nil
	}
	if len(values) == 0 {
		values = nil
	}
	return names, values
}
