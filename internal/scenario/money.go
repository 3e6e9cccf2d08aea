package scenario

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"
)

// annasRequest is a request of anna's; a POST has a key that follows from its path.
func (r *run) annasRequest(method, path string, body any) Request {
	q := Request{Method: method, Path: path, Token: r.anna.Access, Body: body}
	if method == "POST" {
		q.Header = map[string]string{"Idempotency-Key": "scenario" + url.PathEscape(path)}
	}
	return q
}

// imports sends rows of which one is wrong and one is there twice, and sends them again.
func (r *run) imports() error {
	row := func(change map[string]any) map[string]any {
		all := map[string]any{"amount": "-4", "currency": "GBP", "category": "transport", "date": "2026-02-03", "description": "Train to Leeds"}
		maps.Copy(all, change)
		return all
	}
	send := r.annasRequest("POST", "/v1/transactions/import", map[string]any{"rows": []any{
		row(map[string]any{"reference": "bank-1"}), row(map[string]any{"amount": "4.001"}), row(map[string]any{"reference": "bank-1"}),
		row(map[string]any{"amount": "-5", "description": "Bus"}), row(map[string]any{"amount": "-6", "description": "Train to London"})}})
	for _, replayed := range []string{"", "true"} {
		a, err := r.want(r.annas, send, 200)
		if err != nil {
			return err
		}
		rows, _ := a.Body["rows"].([]any)
		got := ""
		for _, one := range rows {
			result, _ := one.(map[string]any)
			status, _ := result["status"].(string)
			got += status + " "
		}
		if got != "created invalid duplicate created created " || a.Header.Get("Idempotency-Replayed") != replayed {
			return fmt.Errorf("the rows are %sand Idempotency-Replayed is %q", got, a.Header.Get("Idempotency-Replayed"))
		}
	}
	return nil
}

// amounts requires that a list has these amounts in this order.
func (r *run) amounts(query string, want ...string) error {
	a, err := r.want(r.annas, r.annasRequest("GET", "/v1/transactions?"+query, nil), 200)
	if err != nil {
		return err
	}
	var got []string
	items, _ := a.Body["items"].([]any)
	for _, one := range items {
		item, _ := one.(map[string]any)
		amount, _ := item["amount"].(string)
		got = append(got, amount)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("the amounts are %v, not %v", got, want)
	}
	return nil
}

func (r *run) category() error {
	if _, err := r.want(r.annas, r.annasRequest("POST", "/v1/categories", map[string]any{"id": "model-trains", "name": "Trains"}), 201); err != nil {
		return err
	}
	change := r.annasRequest("PATCH", "/v1/categories/model-trains", map[string]any{"version": 1, "name": "Model trains"})
	if _, err := r.want(r.annas, change, 200); err != nil {
		return err
	}
	if err := r.refused(r.annas, change, 409, "version_conflict"); err != nil {
		return err
	}
	a, err := r.want(r.annas, r.annasRequest("GET", "/v1/categories/model-trains", nil), 200)
	if err != nil || a.Text("name") != "Model trains" {
		return errors.Join(err, fmt.Errorf("the name is %q", a.Text("name")))
	}
	a, err = r.want(r.annas, r.annasRequest("GET", "/v1/categories", nil), 200)
	if items, _ := a.Body["items"].([]any); err == nil && len(items) < 2 {
		return fmt.Errorf("there are %d categories", len(items))
	}
	if err != nil {
		return err
	}
	_, err = r.want(r.annas, r.annasRequest("DELETE", "/v1/categories/model-trains", nil), 204)
	return err
}

func (r *run) budget() error {
	set := r.annasRequest("POST", "/v1/budgets", map[string]any{"category": "transport", "currency": "GBP", "limit": "20"})
	a, err := r.want(r.annas, set, 201)
	if err != nil {
		return err
	}
	if a.Text("id") != "transport.GBP" || a.Text("limit") != "20.00" {
		return fmt.Errorf("the budget has id %q and limit %q", a.Text("id"), a.Text("limit"))
	}
	if _, err := r.want(r.annas, r.annasRequest("PATCH", "/v1/budgets/transport.GBP", map[string]any{"version": 1, "limit": "25"}), 200); err != nil {
		return err
	}
	if err := r.refused(r.annas, r.annasRequest("DELETE", "/v1/categories/transport", nil), 409, "category_in_use"); err != nil {
		return err
	}
	a, err = r.want(r.annas, r.annasRequest("GET", "/v1/budgets", nil), 200)
	if items, _ := a.Body["items"].([]any); err == nil && len(items) != 1 {
		return fmt.Errorf("there are %d budgets, not 1", len(items))
	}
	return err
}

// summaries waits until the stream has added up what was imported: it follows by some seconds.
func (r *run) summaries() error {
	const want = "map[category:transport count:3 currency:GBP month:2026-02 received:0 spent:1500]"
	for tries := 0; ; tries++ {
		a, err := r.want(r.annas, r.annasRequest("GET", "/v1/summaries?month=2026-02", nil), 200)
		if err != nil {
			return err
		}
		items, _ := a.Body["items"].([]any)
		if len(items) == 1 && fmt.Sprint(items[0]) == want {
			return nil
		}
		if tries == 30 {
			return fmt.Errorf("the summaries are %v, not %s", items, want)
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
