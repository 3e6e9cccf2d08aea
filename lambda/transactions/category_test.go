package transactions_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

type shownCategory struct {
	ID, Name, Origin string
	Version          int
}

type categories struct{ Items []shownCategory }

func (w *world) categories(t testing.TB, who string) map[string]shownCategory {
	t.Helper()
	var list categories
	w.Do(t, "listCategories", w.listing(who)).Decode(t, &list)
	all, last := map[string]shownCategory{}, ""
	for _, c := range list.Items {
		require.Greater(t, c.ID, last, "in order of their ids")
		all[c.ID], last = c, c.ID
	}
	return all
}

func (w *world) category(t testing.TB, who, id, name string) shownCategory {
	t.Helper()
	var c shownCategory
	w.Do(t, "createCategory", w.creating(who, body{"id": id, "name": name})).Decode(t, &c)
	return c
}

func TestCategoriesAreTheDefaultsAndOnesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	standard := w.categories(t, ada)
	require.Len(t, standard, 15)
	require.Equal(t, shownCategory{"groceries", "Groceries", "default", 1}, standard["groceries"])
	require.Empty(t, w.mem.Items("budgets"), "nothing is stored for the defaults")

	made := w.category(t, ada, "model-trains", "  Model\ttrains ")
	require.Equal(t, shownCategory{"model-trains", "Model trains", "own", 1}, made)
	require.Equal(t, made, w.categories(t, ada)["model-trains"], "at once")
	require.Len(t, w.categories(t, bob), 15)
	var got shownCategory
	w.do(t, "getCategory", ada, "model-trains", nil).Decode(t, &got)
	require.Equal(t, made, got)
	w.do(t, "getCategory", ada, "groceries", nil).Decode(t, &got)
	require.Equal(t, standard["groceries"], got)

	for _, id := range []string{"model-trains", "groceries"} {
		var changed shownCategory
		w.do(t, "changeCategory", ada, id, body{"version": 1, "name": "Toys"}).Decode(t, &changed)
		require.Equal(t, "Toys", changed.Name)
		require.Equal(t, 2, changed.Version)
		require.Equal(t, changed, w.categories(t, ada)[id])
		w.do(t, "changeCategory", ada, id, body{"version": 1, "name": "Games"}).Refused(t, 409, "version_conflict")
		w.do(t, "changeCategory", ada, id, body{"version": 2, "name": "Games"}).Decode(t, &changed)
		require.Equal(t, 3, changed.Version)

		require.Equal(t, 204, w.do(t, "deleteCategory", ada, id, nil).Status)
		require.NotContains(t, w.categories(t, ada), id)
		for operation, b := range map[string]body{"getCategory": nil, "changeCategory": {"version": 3, "name": "x"}, "deleteCategory": nil} {
			w.do(t, operation, ada, id, b).Refused(t, 404, "not_found")
		}
		again := w.category(t, ada, id, "Again")
		require.Equal(t, again, w.categories(t, ada)[id])
	}
	require.Equal(t, "Groceries", w.categories(t, bob)["groceries"].Name)
}

func TestCategoriesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.category(t, ada, "mine", "Mine")
	for _, id := range []string{"mine", "groceries"} {
		w.Do(t, "createCategory", w.creating(ada, body{"id": id, "name": "x"})).Refused(t, 409, "category_exists")
	}
	for name, c := range map[string]struct {
		body body
		want fault
	}{
		"id_upper":   {body{"id": "Mine", "name": "x"}, fault{"/id", "pattern"}},
		"id_long":    {body{"id": strings.Repeat("a", 41), "name": "x"}, fault{"/id", "too_long"}},
		"no_name":    {body{"id": "a"}, fault{"/name", "required"}},
		"blank_name": {body{"id": "a", "name": " \n"}, fault{"/name", "too_short"}},
		"long_name":  {body{"id": "a", "name": strings.Repeat("x", 61)}, fault{"/name", "too_long"}},
		"grows":      {body{"id": "a", "name": strings.Repeat("\u0958", 31)}, fault{"/name", "too_long"}},
		"control":    {body{"id": "a", "name": "a\u202eb"}, fault{"/name", "control_character"}},
		"origin":     {body{"id": "a", "name": "x", "origin": "default"}, fault{"/origin", "unknown"}},
	} {
		require.Equal(t, []fault{c.want}, faults(t, w.Do(t, "createCategory", w.creating(ada, c.body))), name)
	}
	require.Equal(t, []fault{{"/name", "control_character"}}, faults(t, w.do(t, "changeCategory", ada, "mine", body{"version": 1, "name": "\u0000"})))
	for _, id := range []string{"nothing", "Mine", "a--b", "-a", "a-", "", "a#b", "a.GBP", strings.Repeat("a", 41), "../x"} {
		for operation, b := range map[string]body{"getCategory": nil, "changeCategory": {"version": 1, "name": "x"}, "deleteCategory": nil} {
			p := w.do(t, operation, ada, id, b).Refused(t, 404, "not_found")
			require.Equal(t, "There is no such category.", p.Detail)
		}
	}
	w.do(t, "getCategory", bob, "mine", nil).Refused(t, 404, "not_found")
	w.account(t, ada, "suspended")
	w.Do(t, "createCategory", w.creating(ada, body{"id": "b", "name": "x"})).Refused(t, 403, "account_inactive")
	before := w.everything()
	w.do(t, "changeCategory", ada, "groceries", body{"version": 1, "name": "x"}).Refused(t, 403, "account_inactive")
	w.do(t, "deleteCategory", ada, "groceries", nil).Refused(t, 403, "account_inactive")
	require.Equal(t, before, w.everything())
}

// Two hundred of one's own, exactly; each that goes makes room for another.
func TestCategoriesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 200 {
		w.category(t, ada, fmt.Sprint("c", i), "x")
	}
	full := w.creating(ada, body{"id": "more", "name": "x"})
	w.Do(t, "createCategory", full).Refused(t, 409, "too_many_categories")
	require.Len(t, w.categories(t, ada), 215)
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "groceries", nil).Status)
	w.category(t, ada, "groceries", "A default does not count")
	w.Do(t, "createCategory", full).Refused(t, 409, "too_many_categories")
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "c7", nil).Status)
	require.Equal(t, 201, w.Do(t, "createCategory", full).Status)
	require.Equal(t, "true", w.Do(t, "createCategory", full).Headers["Idempotency-Replayed"], "the replay is answered though it is full")
	w.category(t, bob, "c0", "x")
}

func TestDeletingACategoryThatIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.category(t, ada, "trains", "Trains")
	made := w.create(t, ada, body{"category": "trains"})
	w.Do(t, "createBudget", w.creating(ada, body{"category": "trains", "currency": "GBP", "limit": "5"}))
	w.Do(t, "createBudget", w.creating(ada, body{"category": "trains-old", "currency": "GBP", "limit": "5"}))
	w.do(t, "deleteCategory", ada, "trains", nil).Refused(t, 409, "category_in_use")
	require.Contains(t, w.categories(t, ada), "trains")
	require.Equal(t, 204, w.do(t, "deleteBudget", ada, "trains.GBP", nil).Status)
	require.Equal(t, 204, w.do(t, "deleteCategory", ada, "trains", nil).Status)
	require.Equal(t, made, w.get(t, ada, made.ID), "what was recorded stays")
	require.Len(t, w.list(t, ada, "category", "trains").Items, 1)
}

// A sandbox shows what another one changed after 30 seconds at the latest; its own changes at once.
func TestCategoriesFromMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := *w
	other.keys = 1000
	other.build(t, w.deps)
	require.NotContains(t, w.categories(t, ada), "new")
	other.category(t, ada, "new", "New")
	reads := w.db.counts["Query budgets"]
	require.NotContains(t, w.categories(t, ada), "new")
	require.Equal(t, reads, w.db.counts["Query budgets"], "it is not read again")
	w.now = w.now.Add(30 * time.Second)
	require.Contains(t, w.categories(t, ada), "new")
	require.Equal(t, reads+1, w.db.counts["Query budgets"])
	w.category(t, ada, "newer", "Newer")
	require.Contains(t, w.categories(t, ada), "newer")
}

func TestCategoriesWhoseAnswersAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.db.lost = "TransactWriteItems"
	require.Equal(t, 200, w.do(t, "changeCategory", ada, "groceries", body{"version": 1, "name": "Food"}).Status)
	w.db.lost = "UpdateItem budgets"
	require.Equal(t, 200, w.do(t, "changeCategory", ada, "groceries", body{"version": 2, "name": "Food!"}).Status)
	require.Equal(t, shownCategory{"groceries", "Food!", "default", 3}, w.categories(t, ada)["groceries"])
}

func TestCategoriesThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(store.Item){
		"no_name":    func(item store.Item) { delete(item, "name") },
		"no_version": func(item store.Item) { delete(item, "version") },
		"gone_text":  func(item store.Item) { item["gone"] = store.S("yes") },
	} {
		w := newWorld(t)
		w.category(t, ada, "mine", "Mine")
		for _, item := range w.mem.Items("budgets") {
			if store.Read(item).S("sk") == "CAT#mine" {
				spoil(item)
				w.put(t, "budgets", item)
			}
		}
		w.do(t, "getCategory", ada, "mine", nil).Refused(t, 500, "internal")
		require.Equal(t, 500, w.Do(t, "listCategories", w.listing(ada)).Status, name)
	}
}
