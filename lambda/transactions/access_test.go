package transactions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

// What the handles let the function do is what is declared for it, in both directions.
func TestHandlesAreAsDeclared(t *testing.T) {
	t.Parallel()
	require.Equal(t, storetest.Declared(function().Tables), storetest.Access(transactions.Tables{}))
}

// Everything that is declared is used, and nothing else (newWorld): what a test of the function cannot make it do, its
// role need not allow.
func TestDeclaredAccessIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	w.get(t, ada, made.ID)
	w.list(t, ada)
	w.list(t, ada, "category", "food")
	require.Equal(t, 200, w.do(t, "changeTransaction", ada, made.ID, body{"version": 1}).Status)
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, made.ID, nil).Status)
	w.list(t, ada, "currency", "GBP")
	w.list(t, ada, "description", "lu")
	w.imports(t, ada, rows(1)...)
	w.category(t, ada, "mine", "Mine")
	w.categories(t, ada)
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "mine", nil).Status)
	require.Equal(t, 200, w.do(t, "changeCategory", ada, "groceries", body{"version": 1, "name": "Food"}).Status)
	made2 := w.budget(t, ada, "food", "GBP", "5")
	require.Equal(t, 204, w.do(t, "deleteBudget", ada, made2.ID, nil).Status)
	require.Equal(t, 200, w.Do(t, "listSummaries", w.listing(ada)).Status)
	require.Empty(t, storetest.Unused(storetest.Grants(function().Tables), w.view.Used()...))
}
