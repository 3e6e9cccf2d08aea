package transactions

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/money"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

// maxDescription is how many characters a description has at most, the declared bound: cleaning can make one longer
// (NFC takes some characters apart).
const maxDescription = 200

// record is a transaction as it is stored.
type record struct {
	id          string
	minor       int64 // in the currency's minor unit
	currency    string
	category    string
	date        string
	description string // empty: none
	version     int64
	created     int64 // epoch seconds
	updated     int64
}

func key(user, id string) store.Item { return ledger.TransactionKey(user, id) }

// The sort keys of the indexes. byDescription is empty without a description: the index has no such transaction.
func (r record) byDate() string     { return r.date + "#" + r.id }
func (r record) byCategory() string { return r.category + "#" + r.byDate() }
func (r record) byAmount() string   { return r.currency + "#" + ordered(r.minor) + "#" + r.id }
func (r record) byDescription() string {
	if r.description == "" {
		return ""
	}
	return folded(r.description) + textEnd + r.byDate()
}

// textEnd parts the text in byDescription from what follows it: no description has a line end.
const textEnd = "\n"

// ordered writes numbers so that texts are in the order of their numbers, negative ones first.
func ordered(minor int64) string { return fmt.Sprintf("%016x", uint64(minor)^1<<63) } //nolint:gosec // the bits, not the number

// maxIndexed is how many characters of a description can be looked for.
const maxIndexed = 40

// folded is what a description is found by: its first characters, those that differ only in case made one (Unicode simple
// case folding: each character stays one, and accents stay).
func folded(description string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > maxIndexed {
			return -1
		}
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return unicode.ToLower(least)
	}, description)
}

func (r record) item(user string) store.Item {
	item := key(user, r.id)
	item["byDate"], item["byCategory"], item["byAmount"] = store.S(r.byDate()), store.S(r.byCategory()), store.S(r.byAmount())
	item["amount"], item["currency"] = store.N(r.minor), store.S(r.currency)
	item["category"], item["date"] = store.S(r.category), store.S(r.date)
	item["version"], item["createdAt"], item["updatedAt"] = store.N(r.version), store.N(r.created), store.N(r.updated)
	if r.description != "" {
		item["description"], item["byDescription"] = store.S(r.description), store.S(r.byDescription())
	}
	return item
}

// recordOf reads an item.
func recordOf(item store.Item) (record, error) {
	f := store.Read(item)
	sk := f.S("sk")
	r := record{minor: f.N("amount"), currency: f.S("currency"), category: f.S("category"), date: f.S("date"),
		description: f.OptS("description"), version: f.N("version"), created: f.N("createdAt"), updated: f.N("updatedAt")}
	if err := f.Err(); err != nil {
		return record{}, fmt.Errorf("transactions: %w", err)
	}
	id, ok := ledger.TransactionID(sk)
	if !ok {
		return record{}, errors.New("transactions: the item is no transaction")
	}
	r.id = id
	return r, nil
}

// wire is the transaction as the caller sees it.
func (r record) wire() (transaction, error) {
	amount, err := money.Format(r.minor, r.currency)
	if err != nil {
		return transaction{}, fmt.Errorf("transactions: a stored amount: %w", err)
	}
	return transaction{ID: r.id, Amount: amount, Currency: r.currency, Category: r.category, Date: r.date,
		Description: r.description, Version: r.version, CreatedAt: instant(r.created), UpdatedAt: instant(r.updated)}, nil
}

func instant(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// fields is what a person says about a transaction, as text.
type fields struct{ amount, currency, category, date, description string }

// checked is the record that the fields say, without what we add to it, or all that is wrong with them. amountSaid tells
// whether the amount is from the request.
func (f fields) checked(amountSaid bool) (record, []apperr.Field) {
	r := record{currency: f.currency, category: f.category, date: f.date}
	var faults []apperr.Field
	var err error
	if r.minor, err = money.Parse(f.amount, f.currency); err != nil {
		faults = append(faults, moneyFault(err, amountSaid))
	}
	if _, code := validate.Date(f.date); code != "" {
		faults = append(faults, apperr.Field{Pointer: "/date", Code: code, Detail: "There is no such day."})
	}
	var code string
	if r.description, code = validate.Text(f.description, validate.Size{Runes: maxDescription}); code != "" {
		faults = append(faults, apperr.Field{Pointer: "/description", Code: code})
	}
	if len(faults) > 0 {
		return record{}, faults
	}
	return r, nil
}

// moneyFault points at what is wrong in an amount or its currency. An amount that was not said fits its currency as it
// is: then it is the new currency that does not fit.
func moneyFault(err error, amountSaid bool) apperr.Field {
	at := "/amount"
	if !amountSaid {
		at = "/currency"
	}
	switch {
	case errors.Is(err, money.ErrCurrency):
		return apperr.Field{Pointer: "/currency", Code: "currency", Detail: "This is not the code of a currency."}
	case errors.Is(err, money.ErrDecimals):
		return apperr.Field{Pointer: at, Code: "decimals", Detail: "The amount has more decimals than its currency."}
	case errors.Is(err, money.ErrRange):
		return apperr.Field{Pointer: at, Code: validate.CodeLarge, Detail: "The amount is too large."}
	default:
		return apperr.Field{Pointer: at, Code: validate.CodePattern}
	}
}
