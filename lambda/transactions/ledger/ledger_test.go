package ledger_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

func summary(number string) store.Item {
	return store.Item{"sk": store.S("SUM#2026-11#GBP#food"), "count": store.N(1), "spent": &types.AttributeValueMemberN{Value: number}, "received": store.N(0)}
}

// Sums are read exactly, in every notation that the store may write numbers in; what is none is an error.
func TestSums(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-5": "-5", "1200": "1200", "1.2E3": "1200", "1e+2": "100", "99999999999999999999999999999999999999": "99999999999999999999999999999999999999",
		"5.00": "5", "12E1": "120",
	} {
		s, err := ledger.SummaryOf(summary(text))
		require.NoError(t, err, text)
		require.Equal(t, want, s.Spent.String(), text)
	}
	for _, text := range []string{"", "x", "1.5", "1E-1", "1e99999", "1e999999999999", strings.Repeat("9", 65), "NaN", "Inf", "1/2", "0x10"} {
		_, err := ledger.SummaryOf(summary(text))
		require.Error(t, err, text)
	}
}

func TestItemsThatAreNoSummaries(t *testing.T) {
	t.Parallel()
	for _, sk := range []string{"TOLD#2026-11#x#80", "SUM#2026-11#GBP", "SUM#2026-11#GBP#food#x", "", "TX#1"} {
		item := summary("1")
		item["sk"] = store.S(sk)
		_, err := ledger.SummaryOf(item)
		require.Error(t, err, sk)
	}
}

func TestBudgetsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	b := ledger.Budget{UID: "u", Category: "eating-out", Currency: "GBP", Limit: 5, Version: 2, Created: 3, Updated: 4}
	got, err := ledger.BudgetOf(b.Item("ada"))
	require.NoError(t, err)
	require.Equal(t, b, got)
	for _, sk := range []string{"BUD#food", "CAT#food.GBP", ""} {
		item := b.Item("ada")
		item["sk"] = store.S(sk)
		_, err := ledger.BudgetOf(item)
		require.Error(t, err, sk)
	}
}

func TestAmountsAreSpentOrReceived(t *testing.T) {
	t.Parallel()
	for _, minor := range []int64{0, 1, -1, math.MaxInt64, -math.MaxInt64} {
		require.Equal(t, minor, ledger.Received(minor)-ledger.Spent(minor))
		require.GreaterOrEqual(t, ledger.Spent(minor), int64(0))
		require.GreaterOrEqual(t, ledger.Received(minor), int64(0))
	}
}

// No number makes the reader work without bound, and none is read wrongly.
func FuzzSums(f *testing.F) {
	for _, seed := range []string{"1", "1e3", "1E125", "-0", "1e99999", "0x1p-2", "1_000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ledger.SummaryOf(summary(text))
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		require.True(t, ok)
		require.Zero(t, want.Cmp(new(big.Rat).SetInt(s.Spent)))
	})
}
