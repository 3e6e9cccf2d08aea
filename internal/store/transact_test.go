package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

func reasons(codes ...string) *types.TransactionCanceledException {
	e := &types.TransactionCanceledException{}
	for _, code := range codes {
		r := types.CancellationReason{Code: aws.String(code)}
		if code == "ConditionalCheckFailed" {
			r.Item = store.Item{"pk": store.S("old")}
		}
		e.CancellationReasons = append(e.CancellationReasons, r)
	}
	return e
}

func TestATransactionHasOneToAHundredWrites(t *testing.T) {
	t.Parallel()
	db := &script{}
	table := store.NewTable(db, "orders")
	for _, n := range []int{0, store.MaxWrites + 1} {
		writes := make([]store.Write, n)
		for i := range writes {
			writes[i] = table.PutWrite(types.Put{})
		}
		err := store.Transact(t.Context(), db, "", writes...)
		require.EqualError(t, err, fmt.Sprintf("store: a transaction has 1 to 100 writes, this one has %d", n))
		require.Nil(t, db.transact, "nothing was asked")
	}
	require.NoError(t, store.Transact(t.Context(), db, "token-1", make([]store.Write, store.MaxWrites)...))
	assert.Len(t, db.transact.TransactItems, store.MaxWrites)
	assert.Equal(t, "token-1", *db.transact.ClientRequestToken)
}

func TestACanceledTransactionSaysWhichWriteObjected(t *testing.T) {
	t.Parallel()
	raw := reasons("None", "ConditionalCheckFailed", "ValidationError")
	raw.CancellationReasons = append(raw.CancellationReasons, types.CancellationReason{})
	db := &script{err: fmt.Errorf("operation error: %w", raw)}
	err := store.Transact(t.Context(), db, "", store.NewTable(db, "orders").PutWrite(types.Put{}))

	var canceled *store.CancelledError
	require.ErrorAs(t, err, &canceled)
	require.ErrorIs(t, err, store.ErrConditionFailed)
	assert.Equal(t, "store: transaction canceled: write 1 ConditionalCheckFailed; write 2 ValidationError", err.Error())
	assert.Equal(t, store.None, canceled.Reasons[3].Code, "a missing code is no objection")
	for i, want := range []bool{false, true, false, false, false} {
		_, refused := canceled.Refused(i)
		assert.Equal(t, want, refused, "write %d", i)
	}
	_, refused := canceled.Refused(-1)
	assert.False(t, refused)
	old, _ := canceled.Refused(1)
	assert.Equal(t, "old", store.Read(old).S("pk"))
}

func TestATransactionThatFailedOtherwiseIsNoRefusal(t *testing.T) {
	t.Parallel()
	cause := errors.New("reset by peer")
	db := &script{err: cause}
	err := store.Transact(t.Context(), db, "", store.NewTable(db, "orders").DeleteWrite(types.Delete{}))
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, store.ErrConditionFailed)
	var canceled *store.CancelledError
	require.NotErrorAs(t, err, &canceled)
}

func TestTransient(t *testing.T) {
	t.Parallel()
	coded := func(code string) error { return &smithy.GenericAPIError{Code: code} }
	cases := map[string]struct {
		err  error
		want bool
	}{
		"conflict of a transaction":           {reasons("None", "TransactionConflict"), true},
		"throttle and overload":               {reasons("ThrottlingError", "ProvisionedThroughputExceeded"), true},
		"conflict as told by Transact":        {fmt.Errorf("x: %w", &store.CancelledError{Reasons: []store.Reason{{Code: store.Conflict}}}), true},
		"conflict beside a refused condition": {reasons("TransactionConflict", "ConditionalCheckFailed"), false},
		"conflict beside bad input":           {reasons("TransactionConflict", "ValidationError"), false},
		"nobody objected":                     {reasons("None", "None"), false},
		"refused condition":                   {&store.ConditionFailedError{}, false},
		"conflict of a single write":          {&types.TransactionConflictException{}, true},
		"throttled":                           {fmt.Errorf("x: %w", coded("ThrottlingException")), true},
		"over the table's capacity":           {&types.ProvisionedThroughputExceededException{}, true},
		"bad input":                           {coded("ValidationException"), false},
		"denied":                              {coded("AccessDeniedException"), false},
		"without a code":                      {errors.New("reset by peer"), false},
		"nothing wrong":                       {nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, store.Transient(c.err))
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	require.Equal(t, "sJIg-3t3m9LCTKWBBCyJfwzMZkzWCA7qOZvh", store.Token("create", "user", "key"), "it is the same in every version")
	seen := map[string][]string{}
	for _, parts := range [][]string{nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a\x01b"}, {strings.Repeat("x", 127)}, {strings.Repeat("x", 128)}} {
		token := store.Token(parts...)
		require.Len(t, token, 36)
		require.Equal(t, token, store.Token(parts...))
		require.Nil(t, seen[token], "%q and %q", seen[token], parts)
		seen[token] = append(parts, "")
	}
}
