package storetest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

func TestAccess(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		tables any
		want   []string
	}{
		"nothing": {struct{}{}, nil},
		"one action, alone and in a transaction, is listed once": {struct{ Users store.Putter }{}, []string{"users: PutItem"}},
		"each narrow interface": {
			struct {
				A store.Getter
				B store.Putter
				C store.Updater
				D store.Deleter
				E store.ConditionChecker
				F store.Querier
				G store.IndexQuerier
				H store.BatchGetter
				I store.BatchWriter
			}{},
			[]string{"a: GetItem", "b: PutItem", "c: UpdateItem", "d: DeleteItem", "e: ConditionCheckItem", "f: Query", "g/*: Query", "h: BatchGetItem", "i: BatchWriteItem"},
		},
		"words": {
			struct {
				SecurityEvents store.Getter
				AIChatHistory  store.Getter
				UsageOfAI      store.Getter
			}{}, []string{"ai-chat-history: GetItem", "security-events: GetItem", "usage-of-ai: GetItem"},
		},
		"a handle is as wide as it is": {struct{ Users store.Table }{}, []string{
			"users/*: Query", "users: BatchGetItem", "users: BatchWriteItem", "users: ConditionCheckItem", "users: DeleteItem", "users: GetItem", "users: PutItem",
			"users: Query", "users: UpdateItem", "users: method Name", "users: method With", "users: method WithPause"}},
		"a method of another kind shows": {struct {
			Users interface{ Scan() }
		}{}, []string{"users: method Scan"}},
	} {
		require.Equal(t, one.want, storetest.Access(one.tables), name)
	}
}

func TestDeclared(t *testing.T) {
	t.Parallel()
	require.Empty(t, storetest.Declared(nil))
	require.Equal(t, []string{"a/*: Query", "a: GetItem", "a: Query"}, storetest.Declared([]service.Access{
		{Table: "a", Actions: []string{"Query", "GetItem"}}, {Table: "a", Index: "i", Actions: []string{"Query"}},
		{Table: "a", Index: "j", Actions: []string{"Query"}}, {Table: "a", Actions: []string{"GetItem"}}}))
}

// A declaration is usable as it is: what it grants is allowed, and nothing else.
func TestDeclarationsInMemory(t *testing.T) {
	t.Parallel()
	access := []service.Access{{Table: "a", Actions: []string{"PutItem", "GetItem"}}, {Table: "a", Index: "i", Actions: []string{"Query"}}}
	view := mem.New(storetest.Schemas([]service.Table{{Key: "a", Hash: "pk", Range: "sk", Indexes: []service.Index{{Key: "i", Hash: "x", Range: "y"}}}})...).
		As(storetest.Grants(access)...)
	table := store.NewTable(view, "a")
	item := store.Item{"pk": store.S("p"), "sk": store.S("s"), "x": store.S("x"), "y": store.S("y")}
	require.NoError(t, store.Transact(t.Context(), view, "", table.PutWrite(types.Put{Item: item})))
	out, err := table.QueryIndex(t.Context(), "i", query("x = :x AND y = :y", store.Item{":x": store.S("x"), ":y": store.S("y")}))
	require.NoError(t, err)
	require.Equal(t, []store.Item{item}, out.Items)
	_, err = table.Query(t.Context(), query("pk = :p", store.Item{":p": store.S("p")}))
	require.Error(t, err)
	require.Equal(t, []string{"a GetItem"}, storetest.Unused(storetest.Grants(access), view.Used()...))
	require.Equal(t, []mem.Grant{{Table: "a", Actions: []string{"Query"}}}, view.Denied())
}

func TestUnused(t *testing.T) {
	t.Parallel()
	declared := []mem.Grant{{Table: "b", Actions: []string{"Query"}}, {Table: "a", Actions: []string{"PutItem", "GetItem"}}, {Table: "a", Index: "i", Actions: []string{"Query"}}}
	for name, one := range map[string]struct {
		used []mem.Grant
		want []string
	}{
		"nothing used":                     {nil, []string{"a GetItem", "a PutItem", "a/i Query", "b Query"}},
		"everything used":                  {declared, []string{}},
		"used by two views":                {[]mem.Grant{{Table: "a", Actions: []string{"GetItem"}}, {Table: "a", Actions: []string{"PutItem"}}}, []string{"a/i Query", "b Query"}},
		"a query of the table only":        {[]mem.Grant{{Table: "a", Actions: []string{"Query"}}}, []string{"a GetItem", "a PutItem", "a/i Query", "b Query"}},
		"what is not declared is not used": {[]mem.Grant{{Table: "c", Actions: []string{"GetItem"}}}, []string{"a GetItem", "a PutItem", "a/i Query", "b Query"}},
	} {
		require.Equal(t, one.want, storetest.Unused(declared, one.used...), name)
	}
}
