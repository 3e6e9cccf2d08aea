package store_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

func TestReaderReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	r := store.Read(store.Item{"s": store.S("text"), "n": store.N(-7), "b": store.B([]byte{1}), "t": store.Bool(true),
		"null": &types.AttributeValueMemberNULL{Value: true}})
	assert.Equal(t, "text", r.S("s"))
	assert.Equal(t, int64(-7), r.N("n"))
	assert.Equal(t, []byte{1}, r.B("b"))
	assert.True(t, r.Bool("t"))
	assert.Empty(t, r.OptS("null"))
	assert.Zero(t, r.OptN("absent"))
	assert.Nil(t, r.OptB("absent"))
	assert.False(t, r.OptBool("absent"))
	require.NoError(t, r.Err())
}

func TestReaderReportsEveryProblemAndNoValue(t *testing.T) {
	t.Parallel()
	r := store.Read(store.Item{"s": store.N(424242), "n": store.S("424242"), "b": store.S("424242"), "t": store.S("424242"),
		"fraction": &types.AttributeValueMemberN{Value: "4242.42"}, "big": &types.AttributeValueMemberN{Value: "42424242424242424242"}})
	assert.Empty(t, r.S("s"))
	assert.Zero(t, r.N("n"))
	assert.Nil(t, r.B("b"))
	assert.False(t, r.Bool("t"))
	r.N("fraction")
	r.OptN("big")
	r.S("absent")
	r.OptS("also absent")
	require.EqualError(t, r.Err(), `store: item: attribute "s" is not a string
attribute "n" is not a number
attribute "b" is not binary
attribute "t" is not a boolean
attribute "fraction" is not a whole number within 64 bits
attribute "big" is not a whole number within 64 bits
attribute "absent" is missing`)
}

func TestReaderOfNoItemMissesEverything(t *testing.T) {
	t.Parallel()
	r := store.Read(nil)
	r.N("n")
	r.B("b")
	r.Bool("t")
	require.EqualError(t, r.Err(), "store: item: attribute \"n\" is missing\nattribute \"b\" is missing\nattribute \"t\" is missing")
}
