package transactions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/cache"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/validate"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

const (
	// categoriesFor is how long a sandbox shows the list of a person's categories from memory: a change that was made in
	// another one shows after that time at the latest, one that was made in this one at once.
	categoriesFor = 30 * time.Second
	// maxCategories is how many categories of their own a person may have.
	maxCategories = 200
	maxName       = 60 // characters, the declared bound
)

// The origins of categories.
const (
	originDefault = "default"
	originOwn     = "own"
)

// defaults are the categories that everybody has, by id, until they change or delete them. Of a default that was never
// touched nothing is stored; it has version 1.
var defaults = map[string]string{
	"eating-out": "Eating out", "education": "Education", "entertainment": "Entertainment", "gifts": "Gifts", "groceries": "Groceries",
	"health": "Health", "housing": "Housing", "income": "Income", "insurance": "Insurance", "other": "Other", "savings": "Savings",
	"shopping": "Shopping", "transport": "Transport", "travel": "Travel", "utilities": "Utilities",
}

const categoryPrefix = "CAT#"

func categoryKey(user, id string) store.Item {
	return store.Item{"pk": store.S(ledger.UserKey(user)), "sk": store.S(categoryPrefix + id)}
}

func newCategoryCache(now func() time.Time) *cache.Cache[string, []category] {
	return cache.New(cache.Options[string, []category]{Soft: categoriesFor * 4 / 5, Hard: categoriesFor, Entries: 512, Now: now,
		Size: func(_ string, list []category) int { return len(list) * (maxName*4 + 100) }})
}

// categoryOf reads an item. A default that was deleted is kept as one that is gone.
func categoryOf(item store.Item) (c category, gone bool, err error) {
	f := store.Read(item)
	c.ID, c.Name, c.Version, gone = strings.TrimPrefix(f.S("sk"), categoryPrefix), f.OptS("name"), f.OptN("version"), f.OptBool("gone")
	c.Origin = originOf(c.ID)
	if !gone {
		f.S("name")
		f.N("version")
	}
	if err := f.Err(); err != nil {
		return category{}, false, fmt.Errorf("transactions: a category: %w", err)
	}
	return c, gone, nil
}

func originOf(id string) string {
	if _, ok := defaults[id]; ok {
		return originDefault
	}
	return originOwn
}

var (
	errCategoryExists = apperr.New(apperr.Conflict, "category_exists", "There is a category with this id.")
	errCategoryInUse  = apperr.New(apperr.Conflict, "category_in_use", "There is a budget for this category. Delete it first.")
	errCategoryCount  = apperr.New(apperr.Conflict, "too_many_categories", fmt.Sprintf("There are %d categories of your own.", maxCategories))
)

// categoryName is a name, cleaned.
func categoryName(said string) (string, error) {
	name, code := validate.Text(said, validate.Size{Runes: maxName})
	if code == "" && name == "" {
		code = validate.CodeShort
	}
	if code != "" {
		return "", validate.Refuse(apperr.Field{Pointer: "/name", Code: code})
	}
	return name, nil
}

// createCategory names a category. How many there are of a person's own is counted in the same transaction.
func (a *api) createCategory(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in newCategory
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	name, err := categoryName(in.Name)
	if err != nil {
		return rest.Response{}, err
	}
	made := category{ID: in.ID, Name: name, Origin: originOf(in.ID), Version: 1}
	item := categoryKey(r.Subject, made.ID)
	item["name"], item["version"] = store.S(made.Name), store.N(made.Version)
	put := types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	writes := []store.Write{a.active(r.Subject)}
	if made.Origin == originDefault { // it is there unless it was deleted
		put.ConditionExpression, put.ExpressionAttributeValues = aws.String("gone = :gone"), store.Item{":gone": store.Bool(true)}
		writes = append(writes, a.t.Budgets.PutWrite(put))
	} else {
		writes = append(writes, a.t.Budgets.PutWrite(put), a.counted(r.Subject, 1))
	}
	answer, err := a.once(ctx, r, "createCategory", made, writes...)
	a.categories.Invalidate(r.Subject)
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if _, exists := canceled.Refused(1); exists {
			return rest.Response{}, errCategoryExists
		}
		if _, full := canceled.Refused(2); full && made.Origin == originOwn {
			return rest.Response{}, errCategoryCount
		}
	}
	return answer, notRecorded(err)
}

// counted is one more, or one less, of a person's own categories.
func (a *api) counted(user string, n int64) store.Write {
	update := types.Update{
		Key:                       store.Item{"pk": store.S(ledger.UserKey(user)), "sk": store.S("COUNT#categories")},
		UpdateExpression:          aws.String("ADD #count :n"),
		ExpressionAttributeNames:  map[string]string{"#count": "count"},
		ExpressionAttributeValues: store.Item{":n": store.N(n)},
	}
	if n > 0 {
		update.ConditionExpression = aws.String("attribute_not_exists(#count) OR #count < :bound")
		update.ExpressionAttributeValues[":bound"] = store.N(maxCategories)
	} else {
		update.ConditionExpression = aws.String("#count > :bound")
		update.ExpressionAttributeValues[":bound"] = store.N(0)
	}
	return a.t.Budgets.UpdateWrite(update)
}

// listCategories shows the defaults and the person's own, from memory where that is fresh enough.
func (a *api) listCategories(ctx context.Context, r *rest.Request) (rest.Response, error) {
	list, err := a.categories.GetOrLoad(ctx, r.Subject, a.loadCategories)
	if err != nil {
		return rest.Response{}, failed(err)
	}
	return rest.Response{Body: categoryList{Items: list}}, nil
}

func (a *api) loadCategories(ctx context.Context, user string) ([]category, error) {
	byID := map[string]category{}
	for id, name := range defaults {
		byID[id] = category{ID: id, Name: name, Origin: originDefault, Version: 1}
	}
	in := &dynamodb.QueryInput{ConsistentRead: aws.Bool(true), // what this sandbox wrote shows at once
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: store.Item{":pk": store.S(ledger.UserKey(user)), ":prefix": store.S(categoryPrefix)},
		ProjectionExpression:      aws.String("sk, #name, version, gone"), ExpressionAttributeNames: map[string]string{"#name": "name"}}
	for {
		out, err := a.t.Budgets.Query(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, item := range out.Items {
			c, gone, err := categoryOf(item)
			if err != nil {
				return nil, err
			}
			if byID[c.ID] = c; gone {
				delete(byID, c.ID)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			break
		}
	}
	list := make([]category, 0, len(byID))
	for _, c := range byID {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b category) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func (a *api) getCategory(ctx context.Context, r *rest.Request) (rest.Response, error) {
	c, _, err := a.readCategory(ctx, r)
	return rest.Response{Body: c}, err
}

// readCategory is the category that the path names, as it was written last. stored is false of a default as it always was.
func (a *api) readCategory(ctx context.Context, r *rest.Request) (c category, stored bool, err error) {
	id := r.Path("id")
	if !slug(id) {
		return category{}, false, errNoCategory
	}
	out, err := a.t.Budgets.GetItem(ctx, &dynamodb.GetItemInput{Key: categoryKey(r.Subject, id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return category{}, false, failed(err)
	}
	if out.Item == nil {
		name, ok := defaults[id]
		if !ok {
			return category{}, false, errNoCategory
		}
		return category{ID: id, Name: name, Origin: originDefault, Version: 1}, false, nil
	}
	c, gone, err := categoryOf(out.Item)
	if err == nil && gone {
		err = errNoCategory
	}
	return c, true, err
}

// slug tells whether a text can be the id of a category.
func slug(id string) bool {
	if len(id) == 0 || len(id) > 40 || strings.Contains(id, "--") || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// changeCategory gives a category another name. Of several changes made from one version, one is made.
func (a *api) changeCategory(ctx context.Context, r *rest.Request) (rest.Response, error) {
	var in categoryChange
	if err := r.Decode(&in); err != nil {
		return rest.Response{}, err
	}
	name, err := categoryName(in.Name)
	if err != nil {
		return rest.Response{}, err
	}
	c, stored, err := a.readCategory(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	if c.Version != in.Version {
		return rest.Response{}, errVersion
	}
	id, err := newID(r.Now, a.random)
	if err != nil {
		return rest.Response{}, err
	}
	c.Name = name
	c.Version++
	if stored {
		err = store.ChangeVersion(ctx, a.t.Budgets, store.Change{Key: categoryKey(r.Subject, c.ID), From: in.Version, Set: store.Item{"name": store.S(name)}, ID: id})
	} else {
		err = a.touch(ctx, r.Subject, c, id)
	}
	a.categories.Invalidate(r.Subject)
	return rest.Response{Body: c}, refused(err, errNoCategory)
}

// touch stores a default for the first time, changed. Like everything that makes an item, it needs an active account: there
// must be none again after a person was erased.
func (a *api) touch(ctx context.Context, user string, c category, write string) error {
	item := categoryKey(user, c.ID)
	item["name"], item["version"], item[store.WriteAttribute] = store.S(c.Name), store.N(c.Version), store.S(write)
	err := store.Transact(ctx, a.tx, "", a.active(user),
		a.t.Budgets.PutWrite(types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")}))
	var canceled *store.CancelledError
	if !errors.As(err, &canceled) {
		return err
	}
	if _, refused := canceled.Refused(0); refused {
		return errInactive
	}
	if old, refused := canceled.Refused(1); refused {
		if store.Read(old).OptS(store.WriteAttribute) == write { // the client's second try
			return nil
		}
		return fmt.Errorf("%w: %w", store.ErrVersion, err)
	}
	return err
}

// deleteCategory takes a category off the list. What people recorded stays as they recorded it: their transactions and
// summaries keep the category, and can be listed by it. A budget would go on watching it unseen, so that a category with a
// budget is refused; one that is set at the same moment stays.
func (a *api) deleteCategory(ctx context.Context, r *rest.Request) (rest.Response, error) {
	c, _, err := a.readCategory(ctx, r)
	if err != nil {
		return rest.Response{}, err
	}
	out, err := a.t.Budgets.Query(ctx, &dynamodb.QueryInput{ConsistentRead: aws.Bool(true), Limit: aws.Int32(1), ProjectionExpression: aws.String("sk"),
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: store.Item{":pk": store.S(ledger.UserKey(r.Subject)), ":prefix": store.S(ledger.BudgetPrefix(c.ID))}})
	if err != nil {
		return rest.Response{}, failed(err)
	}
	if len(out.Items) > 0 {
		return rest.Response{}, errCategoryInUse
	}
	writes := []store.Write{a.active(r.Subject)}
	if c.Origin == originDefault {
		item := categoryKey(r.Subject, c.ID)
		item["gone"] = store.Bool(true)
		writes = append(writes, a.t.Budgets.PutWrite(types.Put{Item: item, ConditionExpression: aws.String("attribute_not_exists(gone)")}))
	} else {
		writes = append(writes, a.t.Budgets.DeleteWrite(types.Delete{Key: categoryKey(r.Subject, c.ID), ConditionExpression: aws.String("attribute_exists(pk)")}),
			a.counted(r.Subject, -1))
	}
	err = store.Transact(ctx, a.tx, "", writes...)
	a.categories.Invalidate(r.Subject)
	var canceled *store.CancelledError
	if errors.As(err, &canceled) {
		if _, before := canceled.Refused(1); before { // another deletion was
			return rest.Response{}, errNoCategory
		}
	}
	return rest.Response{}, notRecorded(err)
}
