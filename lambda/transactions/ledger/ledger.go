// Package ledger is what the functions of the transactions service share: how a transaction counts in a monthly summary,
// and the items of summaries and budgets. Every item lies under its person's key (UserKey), so that whoever knows a
// person's identifier finds all of theirs.
//
// Sums have no bound: they are numbers of DynamoDB, exact to 38 digits, and whole numbers of any size here. What they are
// sums of is bounded by 64 bits, so that a summary is exact up to 10^19 transactions.
package ledger

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// The beginnings of sort keys.
const (
	transactionPrefix = "TX#"
	summaryPrefix     = "SUM#"
	budgetPrefix      = "BUD#"
)

// UserKey is the hash key of everything that is a person's.
func UserKey(user string) string { return "USER#" + user }

// TransactionKey is the key of a transaction.
func TransactionKey(user, id string) store.Item {
	return store.Item{"pk": store.S(UserKey(user)), "sk": store.S(transactionPrefix + id)}
}

// TransactionID is the identifier in a transaction's sort key; ok is false for the key of something else.
func TransactionID(sk string) (id string, ok bool) { return strings.CutPrefix(sk, transactionPrefix) }

// Slot is where in the summaries a transaction counts.
type Slot struct{ Month, Currency, Category string }

// Key is the key of the slot's summary.
func (s Slot) Key(user string) store.Item {
	return store.Item{"pk": store.S(UserKey(user)), "sk": store.S(SummaryPrefix(s.Month) + "#" + s.Currency + "#" + s.Category)}
}

// SummaryPrefix is what the sort keys of a month's summaries begin with; an empty month is all.
func SummaryPrefix(month string) string { return summaryPrefix + month }

// Entry is what of a transaction counts.
type Entry struct {
	Slot
	Minor int64 // negative: spent
}

// EntryOf reads what of a transaction's item counts.
func EntryOf(item store.Item) (Entry, error) {
	f := store.Read(item)
	e := Entry{Slot{f.S("date"), f.S("currency"), f.S("category")}, f.N("amount")}
	if err := f.Err(); err != nil {
		return Entry{}, fmt.Errorf("ledger: a transaction: %w", err)
	}
	if len(e.Month) != len("2026-01-31") {
		return Entry{}, errors.New("ledger: a transaction without a day")
	}
	e.Month = e.Month[:len("2026-01")]
	return e, nil
}

// Spent is what an amount adds to what was spent.
func Spent(minor int64) int64 { return max(0, -minor) }

// Received is what an amount adds to what was received.
func Received(minor int64) int64 { return max(0, minor) }

// Summary is what the transactions of a slot add up to.
type Summary struct {
	Slot
	Count           int64
	Spent, Received *big.Int // minor units
}

// SummaryOf reads a summary's item.
func SummaryOf(item store.Item) (Summary, error) {
	f := store.Read(item)
	s := Summary{Count: f.N("count")}
	rest, ok := strings.CutPrefix(f.S("sk"), summaryPrefix)
	parts := strings.Split(rest, "#")
	if err := f.Err(); err != nil {
		return Summary{}, fmt.Errorf("ledger: a summary: %w", err)
	}
	if !ok || len(parts) != 3 {
		return Summary{}, errors.New("ledger: the item is no summary")
	}
	s.Slot = Slot{parts[0], parts[1], parts[2]}
	var err error
	if s.Spent, err = whole(item["spent"]); err != nil {
		return Summary{}, err
	}
	s.Received, err = whole(item["received"])
	return s, err
}

// whole reads a whole number of any size, in whatever notation the store writes it.
func whole(v types.AttributeValue) (*big.Int, error) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok || len(n.Value) > 64 || strings.Trim(n.Value, "0123456789+-.eE") != "" {
		return nil, errors.New("ledger: a sum is no number")
	}
	if i, ok := new(big.Int).SetString(n.Value, 10); ok {
		return i, nil
	}
	if _, exponent, _ := strings.Cut(strings.ToUpper(n.Value), "E"); len(exponent) > 4 { // DynamoDB's numbers end at 10^125
		return nil, errors.New("ledger: a sum is too large")
	}
	r, ok := new(big.Rat).SetString(n.Value)
	if !ok || !r.IsInt() {
		return nil, errors.New("ledger: a sum is no whole number")
	}
	return new(big.Int).Set(r.Num()), nil
}

// Budget is how much of a category a person means to spend in each month, in one currency.
type Budget struct {
	UID                string // of this budget alone: one that is deleted and set again is another
	Category, Currency string
	Limit              int64 // minor units, more than zero
	Version            int64
	Created, Updated   int64 // epoch seconds
}

// BudgetKey is the key of a budget.
func BudgetKey(user, category, currency string) store.Item {
	return store.Item{"pk": store.S(UserKey(user)), "sk": store.S(BudgetPrefix(category) + currency)}
}

// BudgetPrefix is what the sort keys of a category's budgets begin with; an empty category is all.
func BudgetPrefix(category string) string {
	if category == "" {
		return budgetPrefix
	}
	return budgetPrefix + category + "."
}

// Item is the budget as it is stored.
func (b Budget) Item(user string) store.Item {
	item := BudgetKey(user, b.Category, b.Currency)
	item["uid"], item["limit"], item["version"] = store.S(b.UID), store.N(b.Limit), store.N(b.Version)
	item["createdAt"], item["updatedAt"] = store.N(b.Created), store.N(b.Updated)
	return item
}

// BudgetOf reads a budget's item.
func BudgetOf(item store.Item) (Budget, error) {
	f := store.Read(item)
	b := Budget{UID: f.S("uid"), Limit: f.N("limit"), Version: f.N("version"), Created: f.N("createdAt"), Updated: f.N("updatedAt")}
	name, isBudget := strings.CutPrefix(f.S("sk"), budgetPrefix)
	var parted bool
	b.Category, b.Currency, parted = strings.Cut(name, ".")
	if err := f.Err(); err != nil {
		return Budget{}, fmt.Errorf("ledger: a budget: %w", err)
	}
	if !isBudget || !parted || b.Limit <= 0 {
		return Budget{}, errors.New("ledger: the item is no budget")
	}
	return b, nil
}
