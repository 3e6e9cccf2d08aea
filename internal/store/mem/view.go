package mem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/expenzez/aws-backend/internal/store"
)

// Grant allows actions on a table, or on one of its indexes when Index is set. Actions are IAM's without their service
// prefix: GetItem, PutItem, UpdateItem, DeleteItem, Query, BatchGetItem, BatchWriteItem, ConditionCheckItem.
type Grant struct {
	Table   string
	Index   string
	Actions []string
}

// View is a DB as a role with certain grants sees it. Calls beyond them are refused as IAM refuses them, whether or not
// the table exists; a call or transaction is done whole or not at all. It is safe for concurrent use.
type View struct {
	db      *DB
	allowed map[access]bool

	mu     sync.Mutex
	used   map[access]bool
	denied map[access]bool
}

// access is one action on one table or index.
type access struct{ table, index, action string }

var _ store.DB = (*View)(nil)

// As is db for a role with these grants and no others.
func (db *DB) As(grants ...Grant) *View {
	v := &View{db: db, allowed: map[access]bool{}, used: map[access]bool{}, denied: map[access]bool{}}
	for _, g := range grants {
		for _, action := range g.Actions {
			v.allowed[access{g.Table, g.Index, action}] = true
		}
	}
	return v
}

// Used is what the view was used for so far, refused calls left out: sorted, one grant for each table and index.
func (v *View) Used() []Grant { return v.list(v.used) }

// Denied is what was tried without a grant, in the form of Used.
func (v *View) Denied() []Grant { return v.list(v.denied) }

func (v *View) list(set map[access]bool) []Grant {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(set), func(a, b access) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.index, b.index), cmp.Compare(a.action, b.action))
	})
	var grants []Grant
	for _, a := range all {
		if last := len(grants) - 1; last >= 0 && grants[last].Table == a.table && grants[last].Index == a.index {
			grants[last].Actions = append(grants[last].Actions, a.action)
			continue
		}
		grants = append(grants, Grant{a.table, a.index, []string{a.action}})
	}
	return grants
}

// check refuses the call at the first access that is not granted, else notes them all as used.
func (v *View) check(operation string, wanted ...access) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range wanted {
		if !v.allowed[a] {
			v.denied[a] = true
			return named(operation, accessDenied(a))
		}
	}
	for _, a := range wanted {
		v.used[a] = true
	}
	return nil
}

// accessDenied is IAM's answer (IAM guide, "Troubleshoot access denied error messages"), for an account and role made up.
func accessDenied(a access) error {
	resource := "arn:aws:dynamodb:us-east-1:111122223333:table/" + a.table
	if a.index != "" {
		resource += "/index/" + a.index
	}
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient,
		Message: "User: arn:aws:sts::111122223333:assumed-role/function/test is not authorized to perform: dynamodb:" + a.action +
			" on resource: " + resource + " because no identity-based policy allows the dynamodb:" + a.action + " action"}
}

// GetItem needs GetItem on the table.
func (v *View) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if err := v.check("GetItem", access{text(in.TableName), "", "GetItem"}); err != nil {
		return nil, err
	}
	return v.db.GetItem(ctx, in, opts...)
}

// PutItem needs PutItem on the table.
func (v *View) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if err := v.check("PutItem", access{text(in.TableName), "", "PutItem"}); err != nil {
		return nil, err
	}
	return v.db.PutItem(ctx, in, opts...)
}

// UpdateItem needs UpdateItem on the table.
func (v *View) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if err := v.check("UpdateItem", access{text(in.TableName), "", "UpdateItem"}); err != nil {
		return nil, err
	}
	return v.db.UpdateItem(ctx, in, opts...)
}

// DeleteItem needs DeleteItem on the table.
func (v *View) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if err := v.check("DeleteItem", access{text(in.TableName), "", "DeleteItem"}); err != nil {
		return nil, err
	}
	return v.db.DeleteItem(ctx, in, opts...)
}

// Query needs Query on the table, or on the index when it names one.
func (v *View) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if err := v.check("Query", access{text(in.TableName), text(in.IndexName), "Query"}); err != nil {
		return nil, err
	}
	return v.db.Query(ctx, in, opts...)
}

// BatchGetItem needs BatchGetItem on each table.
func (v *View) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	var wanted []access
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		wanted = append(wanted, access{name, "", "BatchGetItem"})
	}
	if err := v.check("BatchGetItem", wanted...); err != nil {
		return nil, err
	}
	return v.db.BatchGetItem(ctx, in, opts...)
}

// BatchWriteItem needs BatchWriteItem on each table.
func (v *View) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	var wanted []access
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		wanted = append(wanted, access{name, "", "BatchWriteItem"})
	}
	if err := v.check("BatchWriteItem", wanted...); err != nil {
		return nil, err
	}
	return v.db.BatchWriteItem(ctx, in, opts...)
}

// TransactWriteItems needs, for each write, the item action that it is (DynamoDB guide, "IAM and DynamoDB transactions").
func (v *View) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	var wanted []access
	for _, w := range in.TransactItems {
		if w.Put != nil {
			wanted = append(wanted, access{text(w.Put.TableName), "", "PutItem"})
		}
		if w.Update != nil {
			wanted = append(wanted, access{text(w.Update.TableName), "", "UpdateItem"})
		}
		if w.Delete != nil {
			wanted = append(wanted, access{text(w.Delete.TableName), "", "DeleteItem"})
		}
		if w.ConditionCheck != nil {
			wanted = append(wanted, access{text(w.ConditionCheck.TableName), "", "ConditionCheckItem"})
		}
	}
	if err := v.check("TransactWriteItems", wanted...); err != nil {
		return nil, err
	}
	return v.db.TransactWriteItems(ctx, in, opts...)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
