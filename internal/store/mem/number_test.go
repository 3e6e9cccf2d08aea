package mem_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/store"
)

// Sums are exact, whatever the signs and places, and a number comes back in the one form of its value. The model is
// rational arithmetic.
func TestSumsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		number := func(name string) string {
			return fmt.Sprintf("%dE%d", rapid.Int64().Draw(rt, name), rapid.IntRange(-9, 9).Draw(rt, name+" exponent"))
		}
		a, b := number("a"), number("b")
		db := newDB()
		_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: store.Item{"pk": store.S("p"), "n": &types.AttributeValueMemberN{Value: a}}})
		require.NoError(rt, err)
		_, err = db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("p"), UpdateExpression: aws.String("ADD n :b SET d = n - :b, o = :b"),
			ExpressionAttributeValues: store.Item{":b": &types.AttributeValueMemberN{Value: b}}})
		require.NoError(rt, err)
		x, y, it := rational(rt, a), rational(rt, b), db.Items("t")[0]
		for name, want := range map[string]*big.Rat{"n": new(big.Rat).Add(x, y), "d": new(big.Rat).Sub(x, y), "o": y} {
			text := it[name].(*types.AttributeValueMemberN).Value
			require.Zero(rt, rational(rt, text).Cmp(want), "%s of %s and %s is %s", name, a, b, text)
			require.NotContains(rt, text, "E")
			require.Regexp(rt, `^(-?([1-9][0-9]*|0)(\.[0-9]*[1-9])?)$`, text)
		}
		order(rt, db, x.Cmp(y))
	})
}

// order asks the store itself how n + b - b and b compare.
func order(rt *rapid.T, db store.DB, want int) {
	operator := map[int]string{-1: "<", 0: "=", 1: ">"}[want]
	_, err := db.UpdateItem(rt.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("p"), UpdateExpression: aws.String("SET n = n - o")})
	require.NoError(rt, err)
	_, err = db.UpdateItem(rt.Context(), &dynamodb.UpdateItemInput{TableName: table, Key: key("p"), ConditionExpression: aws.String("n " + operator + " o")})
	require.NoError(rt, err)
}

func rational(rt *rapid.T, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	require.True(rt, ok, text)
	return r
}

func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	db := newDB()
	for _, text := range []string{"", " ", "-", "+", ".", "e", "1e", "e1", "1e1.5", "1E1001", "--1", "+-1", "1-", "1.2.3", "1,5", "0x10", "1_000", "Infinity", "NaN", "١", " 1", "1 "} {
		_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: store.Item{"pk": store.S("p"), "n": &types.AttributeValueMemberN{Value: text}}})
		require.ErrorContains(t, err, "The parameter cannot be converted to a numeric value: "+text, "%q", text)
	}
	require.Empty(t, db.Items("t"))
}
