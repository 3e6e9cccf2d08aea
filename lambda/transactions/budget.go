package transactions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/money"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

var errBudgetExists = apperr.New(apperr.Conflict, "budget_exists", "There is a budget for this category and currency.")

// limitOf is a limit in minor units.
func limitOf(said, currency string) (int64, error) {
	minor, err := money.Parse(said, currency)
	switch {
	case err != nil:
		f := moneyFault(err, true)
		f.Pointer = strings.Replace(f.Pointer, "/amount", "/limit", 1)
		return 0, validate.Refuse(f)
	case minor <= 0:
		return 0, validate.Refuse(apperr.Field{Pointer: "/limit", Code: validate.CodeSmall, Detail: "A limit is more than zero."})
	default:
		return minor, nil
	}
}

// shownBudget is the budget as the caller sees it.
func shownBudget(b ledger.Budget) (budget, error) {
	limit, err := money.Format(b.Limit, b.Currency)
	if err != nil {
		return budget{}, fmt.Errorf("transactions: a stored limit: %w", err)
	}
	return budget{ID: b.Category + "." + b.Currency, Category: b.Category, Currency: b.Currency, Limit: limit, Version: b.Version,
		CreatedAt: instant(b.Created), UpdatedAt: instant(b.Updated)}, nil
}

// createBudget sets a budget. The category need not be on the list: transactions need not name one of those, either.
func (a *api) createBudget(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in newBudget
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	limit, err := limitOf(in.Limit, in.Currency)
	if err != nil {
		return rest.Response{}, err
	}
	uid, err := newID(r.Now, a.random)
	if err != nil {
		return rest.Response{}, err
	}
	b := ledger.Budget{UID: uid, Category: in.Category, Currency: in.Currency, Limit: limit, Version: 1, Created: r.Now.Unix(), Updated: r.Now.Unix()}
	shown, err := shownBudget(b)
	if err != nil {
		return rest.Response{}, err
	}
	answer, err := a.once(ctx, r, "createBudget", shown, a.active(r.Subject),
		a.t.Budgets.PutWrite(types.Put{Item: b.Item(r.Subject), ConditionExpression: aws.String("attribute_not_exists(pk)")}))
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if _, exists := canceled.Refused(1); exists {
			return rest.Response{}, errBudgetExists
		}
	}
	return answer, notRecorded(err)
}

func (a *api) listBudgets(ctx context.Context, r *rest.Request) (rest.Response, error) {
	page := budgetPage{Items: []budget{}}
	var err error
	page.NextCursor, err = a.page(ctx, r, listing{operation: "listBudgets", kind: ledger.BudgetPrefix(""), query: a.t.Budgets.Query, forward: true,
		projection: "sk, uid, #limit, version, createdAt, updatedAt", names: map[string]string{"#limit": "limit"}},
		func(item store.Item) error {
			b, err := ledger.BudgetOf(item)
			if err != nil {
				return err
			}
			shown, err := shownBudget(b)
			page.Items = append(page.Items, shown)
			return err
		})
	return rest.Response{Body: page}, err
}

func (a *api) getBudget(ctx context.Context, r *rest.Request) (rest.Response, error) {
	b, err := a.readBudget(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	shown, err := shownBudget(b)
	return rest.Response{Body: shown}, err
}

// budgetKey is the key of the budget that the path names, if it can be one.
func budgetKey(r *rest.Request) (store.Item, bool) {
	category, currency, ok := strings.Cut(r.Path("id"), ".")
	_, known := money.Decimals(currency)
	return ledger.BudgetKey(r.Subject, category, currency), ok && known && slug(category)
}

// readBudget is the budget that the path names, as it was written last.
func (a *api) readBudget(ctx context.Context, r *rest.Request) (ledger.Budget, error) {
	key, ok := budgetKey(r)
	if !ok {
		return ledger.Budget{}, errNoBudget
	}
	out, err := a.t.Budgets.GetItem(ctx, &dynamodb.GetItemInput{Key: key, ConsistentRead: aws.Bool(true)})
	switch {
	case err != nil:
		return ledger.Budget{}, failed(err)
	case out.Item == nil:
		return ledger.Budget{}, errNoBudget
	default:
		return ledger.BudgetOf(out.Item)
	}
}

// changeBudget changes the limit. What was told of a month stays told: a new limit is not told again there.
func (a *api) changeBudget(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in budgetChange
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	b, err := a.readBudget(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	if b.Version != in.Version {
		return rest.Response{}, errVersion
	}
	if b.Limit, err = limitOf(in.Limit, b.Currency); err != nil {
		return rest.Response{}, err
	}
	id, err := newID(r.Now, a.random)
	if err != nil {
		return rest.Response{}, err
	}
	b.Version, b.Updated = b.Version+1, r.Now.Unix()
	err = store.ChangeVersion(ctx, a.t.Budgets, store.Change{Key: ledger.BudgetKey(r.Subject, b.Category, b.Currency), From: in.Version,
		Set: store.Item{"limit": store.N(b.Limit), "updatedAt": store.N(b.Updated)}, ID: id})
	if err := refused(err, errNoBudget); err != nil {
		return rest.Response{}, err
	}
	shown, err := shownBudget(b)
	return rest.Response{Body: shown}, err
}

// deleteBudget deletes a budget, of whatever version unless the request names one.
func (a *api) deleteBudget(ctx context.Context, r *rest.Request) (rest.Response, error) {
	key, ok := budgetKey(r)
	if !ok {
		return rest.Response{}, errNoBudget
	}
	return rest.Response{}, refused(store.DeleteVersion(ctx, a.t.Budgets, key, int64(r.QueryInt("version", 0))), errNoBudget)
}
