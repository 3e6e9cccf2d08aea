package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// Tables are what Conform's implementation must have: a key of strings with indexes of each projection, a sort key of
// numbers, and a key of bytes.
func Tables() []mem.Schema {
	return []mem.Schema{
		{Name: "pairs", Hash: "pk", Range: "sk", Types: map[string]types.ScalarAttributeType{"rank": types.ScalarAttributeTypeN}, Indexes: []mem.Index{
			{Name: "by-date", Hash: "pk", Range: "date"},
			{Name: "by-rank", Hash: "kind", Range: "rank", Projection: types.ProjectionTypeInclude, Attributes: []string{"v"}},
			{Name: "by-kind", Hash: "kind", Projection: types.ProjectionTypeKeysOnly},
		}},
		{Name: "numbers", Hash: "pk", Range: "n", Types: map[string]types.ScalarAttributeType{"n": types.ScalarAttributeTypeN}},
		{Name: "bytes", Hash: "pk", Types: map[string]types.ScalarAttributeType{"pk": types.ScalarAttributeTypeB}},
	}
}

// Conform holds an implementation with the empty Tables to what DynamoDB does.
func Conform(t *testing.T, db store.DB) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, c.run(&call{Context: t.Context(), DB: db, pk: c.name}))
		})
	}
}

// Differences runs the cases of Conform on an implementation that is known to be wrong in places, and gives the name of
// each that comes out otherwise than on DynamoDB, with what came and what should have.
func Differences(ctx context.Context, db store.DB) []string {
	var all []string
	for _, c := range cases() {
		if err := c.run(&call{Context: ctx, DB: db, pk: c.name}); err != nil {
			all = append(all, c.name+"\n"+err.Error())
		}
	}
	return all
}

// cases are all cases. They run one after the other, each in a partition named after it.
func cases() []one {
	return slices.Concat(conditions(), updates(), singles(), queries(), batches(), batchWrites(), transactions())
}

// one is a case: what it does to the partition of its own, and what comes of it. A refusal is the code of the error, a
// result is written as show writes it.
type one struct {
	name string
	seed []store.Item // in pairs; the partition is added
	do   func(*call) (any, error)
	want string
}

// invalid is the code of most refusals.
const invalid = "ValidationException"

// call is what a case works with: the store and a partition of its own.
type call struct {
	context.Context
	store.DB
	pk string
}

// run tells how the outcome differs from what is wanted.
func (o one) run(c *call) error {
	for _, it := range o.seed {
		if _, err := c.put(it, "", nil); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	got := c.outcome(o.do(c))
	if got != o.want {
		return fmt.Errorf("  got  %s\n  want %s", got, o.want)
	}
	return nil
}

// outcome is the code of an error, with the old items that it carries, or the result in words.
func (c *call) outcome(v any, err error) string {
	var refused *types.ConditionalCheckFailedException
	var canceled *types.TransactionCanceledException
	var coded smithy.APIError
	var answer *smithyhttp.ResponseError
	switch {
	case err == nil:
		return c.show(v)
	case errors.As(err, &refused):
		return "ConditionalCheckFailedException " + c.show(refused.Item)
	case errors.As(err, &canceled):
		text := "TransactionCanceledException"
		for _, r := range canceled.CancellationReasons {
			text += " " + aws.ToString(r.Code)
			if r.Item != nil {
				text += " " + c.show(r.Item)
			}
		}
		return text
	case errors.As(err, &coded):
		return coded.ErrorCode()
	}
	if errors.As(err, &answer) {
		return fmt.Sprint("status ", answer.HTTPStatusCode())
	}
	return "error " + err.Error()
}

// show writes a result in a short form without order where DynamoDB keeps none. The case's own partition is "pk".
func (c *call) show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return v
	case store.Item:
		if v == nil {
			return "nothing"
		}
		return "{" + c.fields(v) + "}"
	case []store.Item:
		all := make([]string, len(v))
		for i, it := range v {
			all[i] = c.show(it)
		}
		return strings.Join(all, " ")
	case types.AttributeValue:
		return c.value(v)
	}
	return fmt.Sprint(v)
}

func (c *call) fields(it store.Item) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(it)) {
		text := c.value(it[name])
		if name == "pk" && text == fmt.Sprintf("%q", c.pk) {
			all = append(all, "pk")
			continue
		}
		all = append(all, name+":"+text)
	}
	return strings.Join(all, " ")
}

func (c *call) value(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		if len(v.Value) > 200 {
			return fmt.Sprintf("%.10q and so on to %d bytes", v.Value, len(v.Value))
		}
		return fmt.Sprintf("%q", v.Value)
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberB:
		return fmt.Sprintf("%x", v.Value)
	case *types.AttributeValueMemberBOOL:
		return fmt.Sprint(v.Value)
	case *types.AttributeValueMemberNULL:
		return "null"
	case *types.AttributeValueMemberL:
		all := make([]string, len(v.Value))
		for i, element := range v.Value {
			all[i] = c.value(element)
		}
		return "[" + strings.Join(all, " ") + "]"
	case *types.AttributeValueMemberM:
		return "{" + c.fields(v.Value) + "}"
	case *types.AttributeValueMemberSS:
		return fmt.Sprintf("<%s>", strings.Join(slices.Sorted(slices.Values(v.Value)), " "))
	case *types.AttributeValueMemberNS:
		return fmt.Sprintf("<%s>", strings.Join(slices.Sorted(slices.Values(v.Value)), " "))
	case *types.AttributeValueMemberBS:
		all := make([]string, len(v.Value))
		for i, b := range v.Value {
			all[i] = fmt.Sprintf("%x", b)
		}
		slices.Sort(all)
		return "<" + strings.Join(all, " ") + ">"
	}
	return fmt.Sprintf("%T", v)
}

// The values of the cases.
func s(v string) types.AttributeValue  { return store.S(v) }
func n(v string) types.AttributeValue  { return &types.AttributeValueMemberN{Value: v} }
func b(v ...byte) types.AttributeValue { return store.B(v) }
func l(v ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: v}
}
func m(v store.Item) types.AttributeValue { return &types.AttributeValueMemberM{Value: v} }
func ss(v ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: v} }
func ns(v ...string) types.AttributeValue { return &types.AttributeValueMemberNS{Value: v} }

var null = &types.AttributeValueMemberNULL{Value: true}

// vals names values :a, :b and so on.
func vals(all ...types.AttributeValue) store.Item {
	if all == nil {
		return nil
	}
	out := store.Item{}
	for i, v := range all {
		out[":"+string(rune('a'+i))] = v
	}
	return out
}

// opt is nil for an empty string.
func opt(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// own adds the case's partition to an item or key that has none.
func (c *call) own(it store.Item) store.Item {
	it = maps.Clone(it)
	if _, set := it["pk"]; !set {
		it["pk"] = s(c.pk)
	}
	return it
}

func (c *call) put(it store.Item, condition string, values store.Item) (any, error) {
	_, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: aws.String("pairs"), Item: c.own(it), ConditionExpression: opt(condition), ExpressionAttributeValues: values})
	return nil, err
}

func (c *call) get(sk string) (any, error) {
	out, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s(sk)}), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// getIn reads by any key of any table.
func (c *call) getIn(table string, key store.Item) (any, error) {
	out, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: &table, Key: c.own(key)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}
