package transactions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
)

// requests are one of each operation that names something of ada's, by operation.
func about(id string) map[string]resttest.Request {
	path := func(id string, b any) resttest.Request {
		return resttest.Request{Path: map[string]string{"id": id}, Body: b}
	}
	return map[string]resttest.Request{
		"getTransaction": path(id, nil), "changeTransaction": path(id, body{"version": 1, "amount": "1"}), "deleteTransaction": path(id, nil),
		"getCategory": path("mine", nil), "changeCategory": path("mine", body{"version": 1, "name": "x"}), "deleteCategory": path("mine", nil),
		"getBudget": path("food.GBP", nil), "changeBudget": path("food.GBP", body{"version": 1, "limit": "1"}), "deleteBudget": path("food.GBP", nil),
	}
}

// everything is all that is stored of what people recorded.
func (w *world) everything() string {
	var b strings.Builder
	for _, table := range []string{"transactions", "budgets", "monthly-summaries"} {
		for _, item := range w.mem.Items(table) {
			fmt.Fprintf(&b, "%s %d %v\n", table, store.Size(item), store.Read(item).OptS("sk"))
		}
	}
	return b.String()
}

// Broken object level authorization (OWASP API1:2023): what is another's is not there, to the last byte as if it were
// nobody's, and nothing of it changes.
func TestWhatIsAnothersIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	w.category(t, ada, "mine", "Mine")
	w.budget(t, ada, "food", "GBP", "5")
	w.summary(t, ada, "2026-11#GBP#food", 1, number(1250), number(0))
	before := w.everything()
	for operation, r := range about(made.ID) {
		r.User = w.user(bob)
		theirs := w.Do(t, operation, r)
		theirs.Refused(t, 404, "not_found")
		nobody := newWorld(t)
		r.User = nobody.user(bob)
		none := nobody.Do(t, operation, r)
		require.Equal(t, none.Body, theirs.Body, operation)
	}
	require.Equal(t, before, w.everything())
	for _, operation := range []string{"listTransactions", "listBudgets", "listSummaries"} {
		require.JSONEq(t, `{"items":[]}`, w.Do(t, operation, w.listing(bob)).Body, operation)
	}
	require.NotContains(t, w.Do(t, "listCategories", w.listing(bob)).Body, "mine")
}

// Broken authentication (API2:2023): nobody reaches anything without a session that lives.
func TestNobodyReachesAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	before := w.everything()
	all := about(made.ID)
	for operation, b := range map[string]body{"createTransaction": fields(nil), "importTransactions": {"rows": rows(1)}, "createCategory": {"id": "a", "name": "a"},
		"createBudget": {"category": "a", "currency": "GBP", "limit": "1"}} {
		all[operation] = w.creating(ada, b)
	}
	for _, operation := range []string{"listTransactions", "listCategories", "listBudgets", "listSummaries"} {
		all[operation] = resttest.Request{}
	}
	require.Len(t, all, len(function().Routes), "every operation")
	for operation, r := range all {
		r.User = nil
		w.Do(t, operation, r).Refused(t, 401, "unauthenticated")
		r.User = w.user(ada)
		r.User.Subject = ""
		w.Do(t, operation, r).Refused(t, 401, "unauthenticated")
		r.User = w.user(ada)
		r.User.Expires = w.now.Add(-3600e9)
		w.Do(t, operation, r).Refused(t, 401, "token_expired")
	}
	w.put(t, "revoked-tokens", store.Item{"pk": store.S("SID#session-of-" + ada), "ttl": store.N(w.now.Unix() + 3600)})
	for operation, r := range all {
		r.User = w.user(ada)
		w.Do(t, operation, r).Refused(t, 401, "session_ended")
	}
	require.Equal(t, before, w.everything())
}

// Broken object property level authorization (API3:2023): what is ours to set is refused, never taken over.
func TestMembersThatAreOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	w.category(t, ada, "mine", "Mine")
	w.budget(t, ada, "food", "GBP", "5")
	before := w.everything()
	for _, name := range []string{"pk", "sk", "user", "userId", "createdAt", "updatedAt", "uid", "origin", "ttl", "writeId", "byDate", "gone", "count"} {
		for operation, b := range map[string]body{"createTransaction": fields(nil), "createCategory": {"id": "a", "name": "a"}, "createBudget": {"category": "a", "currency": "GBP", "limit": "1"}} {
			b[name] = bob
			require.Equal(t, []fault{{"/" + name, "unknown"}}, faults(t, w.Do(t, operation, w.creating(ada, b))), operation)
		}
		require.Equal(t, []fault{{"/rows/0/" + name, "unknown"}}, faults(t, w.Do(t, "importTransactions", w.creating(ada, body{"rows": []body{row(body{name: bob})}}))))
		for operation, r := range about(made.ID) {
			if b, ok := r.Body.(body); ok {
				b[name] = bob
				r.User = w.user(ada)
				require.Equal(t, []fault{{"/" + name, "unknown"}}, faults(t, w.Do(t, operation, r)), operation)
			}
		}
	}
	require.Equal(t, before, w.everything())
}

// Injection: texts that mean something to stores, shells and pages are texts here, and reach nothing else.
func TestTextsThatMeanSomethingElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, text := range []string{`'; DROP TABLE transactions; --`, `{"S":"x"}`, `:pk`, `#date`, `attribute_exists(pk)`, `USER#` + bob, `TX#`, `<script>alert(1)</script>`, `$(reboot)`, `../../etc/passwd`, `=cmd|' /C calc'!A0`} {
		made := w.create(t, ada, body{"description": text})
		require.Equal(t, text, made.Description)
		found := w.list(t, ada, "description", text[:min(len(text), 40)])
		require.Len(t, found.Items, 1, text)
		require.Equal(t, made, found.Items[0])
		require.Empty(t, w.list(t, bob, "description", text[:2]).Items)
		w.do(t, "getTransaction", ada, text, nil).Refused(t, 404, "not_found")
		w.do(t, "getCategory", ada, text, nil).Refused(t, 404, "not_found")
		w.do(t, "getBudget", ada, text+".GBP", nil).Refused(t, 404, "not_found")
		require.Equal(t, "i", statuses(w.imports(t, ada, row(body{"category": text}))))
		w.Do(t, "listSummaries", w.listing(ada, "month", text)).Refused(t, 400, "validation_failed")
	}
}

// Unrestricted resource consumption (API4:2023): bodies, lists, texts and rows end somewhere.
func TestWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for operation, b := range map[string]any{
		"createCategory": `{"id":"a","name":"` + strings.Repeat("a", 20<<10) + `"}`, "createBudget": `{"limit":"` + strings.Repeat("1", 20<<10) + `"}`,
		"importTransactions": `{"rows":[{"description":"` + strings.Repeat("a", 300<<10) + `"}]}`,
	} {
		w.Do(t, operation, w.creating(ada, b)).Refused(t, 413, "too_large")
	}
	w.Do(t, "importTransactions", w.creating(ada, `{"rows":`+strings.Repeat("[", 17)+strings.Repeat("]", 17)+`}`)).Refused(t, 400, "too_deep")
	for _, operation := range []string{"listBudgets", "listSummaries", "listTransactions"} {
		require.Equal(t, []fault{{"limit", "too_large"}}, faults(t, w.Do(t, operation, w.listing(ada, "limit", "101"))))
	}
	require.Empty(t, w.everything())
}
