// Package transactions keeps what people record about their money. A person reaches only what lies under their own
// identifier, which the access token names: whatever else is asked for is not there. Everything of a person is under one
// hash key that follows from that identifier (ledger.UserKey), so that it can be erased; only the recorded answers to
// repetitions are elsewhere, and those expire after a day.
//
// Reading one item shows what was written last; a list of transactions is read from an index, which follows a moment
// later, the list of categories from memory, for 30 seconds at most, and summaries are what the stream's function has
// added up so far (package transactionsstream). Every list is a range of one key or index: a page costs what it shows,
// however many transactions there are. UNITS.md has what each operation costs.
//
// A category is a word that a transaction says; the list of categories gives names to such words. A transaction may say
// one that is not on the list, and keeps the one that it says when that is taken off the list.
package transactions

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/smithy-go"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/cache"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// Tables are the tables of the function, each as the actions that are declared for it: another call does not compile.
type Tables struct {
	Transactions interface {
		store.Getter
		store.Putter
		store.Updater
		store.Deleter
		store.IndexQuerier
	}
	Budgets interface {
		store.Getter
		store.Putter
		store.Updater
		store.Deleter
		store.Querier
	}
	MonthlySummaries store.Querier
	Users            store.ConditionChecker
	Idempotency      idempotency.LeaseTable
	RateLimits       store.Updater
	RevokedTokens    store.BatchGetter
}

// Bind binds the tables under the names that the function was told.
func Bind(db store.DB, v environ.Values) Tables {
	table := func(key string) store.Table { return store.NewTable(db, v.Table(key)) }
	return Tables{
		Transactions: table("transactions"), Budgets: table("budgets"), MonthlySummaries: table("monthly-summaries"), Users: table("users"), Idempotency: table("idempotency"),
		RateLimits: table("rate-limits"), RevokedTokens: table("revoked-tokens"),
	}
}

// Deps are what the function works with. All but Now and Random are needed.
type Deps struct {
	Values environ.Values
	Tables Tables
	Tx     store.Transactor
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // of identifiers, for concurrent use; nil: crypto/rand
}

// api is the function at work.
type api struct {
	t          Tables
	tx         store.Transactor
	answers    idempotency.Records
	leases     idempotency.Leases
	cursors    cursor.Cursors
	categories *cache.Cache[string, []category]
	random     io.Reader
}

// New makes the function's handler. Its caller limit stays open while the counters do not answer: the caller is known by
// then, and each sandbox goes on counting for itself.
func New(d Deps) (lambda.Handler, error) {
	if d.Random == nil {
		d.Random = rand.Reader
	}
	f, _ := catalog.Transactions().Function("transactions-api")
	limiter, err := ratelimit.New(d.Tables.RateLimits, f, d.Values.Limits,
		ratelimit.Options{Open: []service.Limit{service.LimitAPI}, Budget: d.Values.LimiterBudget, Now: d.Now})
	if err != nil {
		return nil, err
	}
	// The recorded answers say what the transactions themselves say, and lie encrypted at rest like them.
	a := &api{t: d.Tables, tx: d.Tx, answers: idempotency.New(d.Tables.Idempotency, nil),
		leases:     idempotency.NewLeases(d.Tables.Idempotency, nil, idempotency.Options{Now: d.Now}),
		categories: newCategoryCache(d.Now),
		cursors:    cursor.New(cursor.Config{Environment: d.Values.Environment}), random: d.Random}
	return rest.New(f, a.handlers(), rest.Deps{
		Limiter: limiter, Revoked: d.Tables.RevokedTokens, Origins: d.Values.Origins, Log: d.Log, Now: d.Now,
	})
}

func (a *api) handlers() map[string]rest.Handler {
	return map[string]rest.Handler{
		"createTransaction": a.create, "listTransactions": a.list, "getTransaction": a.get,
		"changeTransaction": a.change, "deleteTransaction": a.remove, "importTransactions": a.importRows,
		"createCategory": a.createCategory, "listCategories": a.listCategories, "getCategory": a.getCategory,
		"changeCategory": a.changeCategory, "deleteCategory": a.deleteCategory,
		"createBudget": a.createBudget, "listBudgets": a.listBudgets, "getBudget": a.getBudget,
		"changeBudget": a.changeBudget, "deleteBudget": a.deleteBudget,
		"listSummaries": a.listSummaries,
	}
}

var (
	errNotFound   = apperr.New(apperr.NotFound, "", "There is no such transaction.")
	errNoCategory = apperr.New(apperr.NotFound, "", "There is no such category.")
	errNoBudget   = apperr.New(apperr.NotFound, "", "There is no such budget.")
	errInactive   = apperr.New(apperr.Forbidden, "account_inactive", "This account cannot record transactions.")
	errVersion    = apperr.New(apperr.Conflict, "version_conflict", "It was changed meanwhile. Read it again.")
)

// failed makes a store that did not answer a failure that may pass. An answer that we are wrong stays our own fault; what
// rest knows to be a matter of time it finds by itself.
func failed(err error) error {
	var call *smithy.OperationError
	var answer smithy.APIError
	if errors.As(err, &call) && (!errors.As(err, &answer) || answer.ErrorFault() == smithy.FaultServer) {
		return apperr.New(apperr.Unavailable, "", "").After(time.Second).Because(err)
	}
	return err
}
