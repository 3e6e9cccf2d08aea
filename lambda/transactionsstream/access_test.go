package transactionsstream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
)

// What the handles let the function do is what is declared for it, in both directions.
func TestHandlesAreAsDeclared(t *testing.T) {
	t.Parallel()
	require.Equal(t, storetest.Declared(declared()), storetest.Access(transactionsstream.Tables{}))
}

// Everything that is declared is used, and nothing else (newWorld).
func TestDeclaredAccessIsUsed(t *testing.T) {
	t.Parallel()
	db := mem.New(storetest.Schemas(catalog.Backend().Tables)...)
	view := db.As(storetest.Grants(declared())...)
	w := newWorldOn(t, db, view)
	w.budget(t, ada, "food", "GBP", "5")
	id := w.create(t, ada, "-5", "GBP", "food", "2027-01-10")
	w.do(t, "deleteTransaction", ada, id, nil)
	w.drain(t)
	require.Empty(t, view.Denied())
	require.Empty(t, storetest.Unused(storetest.Grants(declared()), view.Used()...))
}
