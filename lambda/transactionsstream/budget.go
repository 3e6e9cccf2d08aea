package transactionsstream

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/lambda/transactions/ledger"
)

// Event is a message to a person: that so much of a budget was spent in a month. It is one message of the queue
// notifications, as JSON.
type Event struct {
	V    int    `json:"v"`  // of this form: 1
	ID   string `json:"id"` // the same whenever the event is sent again, and no other's
	User string `json:"user"`
	Kind string `json:"kind"` // KindBudget
	Data Budget `json:"data"`
}

// KindBudget is the kind of an Event, in the words of notifications.
const KindBudget = "budget"

// Budget is what an Event says. Amounts are whole numbers of the currency's minor unit, as text.
type Budget struct {
	Category  string `json:"category"`
	Currency  string `json:"currency"`
	Month     string `json:"month"`
	Threshold int    `json:"threshold"` // in percent
	Limit     string `json:"limit"`
	Spent     string `json:"spent"` // at least Threshold percent of Limit; more may have come until the event is sent again
}

// thresholds are the shares of a limit that are told, in percent.
var thresholds = []int64{80, 100}

// watch tells what a slot's budget has reached.
func (f *function) watch(ctx context.Context, user string, s ledger.Slot) error {
	if s.Month < running(f.d.Now()) {
		return nil
	}
	out, err := f.d.Tables.Budgets.GetItem(ctx, &dynamodb.GetItemInput{Key: ledger.BudgetKey(user, s.Category, s.Currency)})
	if err != nil || out.Item == nil {
		return err
	}
	b, err := ledger.BudgetOf(out.Item)
	if err != nil {
		return err
	}
	sums, err := f.d.Tables.MonthlySummaries.GetItem(ctx, &dynamodb.GetItemInput{Key: s.Key(user), ConsistentRead: aws.Bool(true)})
	if err != nil || sums.Item == nil {
		return err
	}
	sum, err := ledger.SummaryOf(sums.Item)
	if err != nil {
		return err
	}
	for _, threshold := range thresholds {
		if reached(sum.Spent, b.Limit, threshold) {
			if err := f.tell(ctx, user, b, sum, threshold); err != nil {
				return err
			}
		}
	}
	return nil
}

// running is the month of a day ago: one that ended within that time still runs somewhere, and what is booked late counts.
func running(now time.Time) string { return now.UTC().Add(-24 * time.Hour).Format("2006-01") }

// reached tells whether so many percent of a limit are spent.
func reached(spent *big.Int, limit, percent int64) bool {
	hundredfold := new(big.Int).Mul(spent, big.NewInt(100))
	return hundredfold.Cmp(new(big.Int).Mul(big.NewInt(limit), big.NewInt(percent))) >= 0
}

// tell sends an event unless it was. The mark outlasts the month, in which alone the event can come about.
func (f *function) tell(ctx context.Context, user string, b ledger.Budget, s ledger.Summary, threshold int64) error {
	percent := strconv.FormatInt(threshold, 10)
	key := store.Item{"pk": store.S(ledger.UserKey(user)), "sk": store.S("TOLD#" + s.Month + "#" + b.UID + "#" + percent)}
	out, err := f.d.Tables.MonthlySummaries.GetItem(ctx, &dynamodb.GetItemInput{Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item != nil {
		return err
	}
	month, err := time.Parse("2006-01", s.Month)
	if err != nil {
		return errors.New("a month that is none")
	}
	if err := f.d.Sender.Send(ctx, Event{
		V: 1, ID: store.Token("budget", user, b.UID, s.Month, percent), User: user, Kind: KindBudget,
		Data: Budget{Category: s.Category, Currency: s.Currency, Month: s.Month, Threshold: int(threshold),
			Limit: strconv.FormatInt(b.Limit, 10), Spent: s.Spent.String()},
	}); err != nil {
		return fmt.Errorf("a budget's event: %w", err)
	}
	key["ttl"] = store.N(month.AddDate(0, 0, 100).Unix())
	_, err = f.d.Tables.MonthlySummaries.PutItem(ctx, &dynamodb.PutItemInput{Item: key, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	if errors.Is(err, store.ErrConditionFailed) { // another sandbox, or the client's second try
		return nil
	}
	return err
}

// Memory is a Sender that keeps what it was given. The zero value is ready. It is safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	sent []Event
}

// Send keeps an event.
func (m *Memory) Send(_ context.Context, e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, e)
	return nil
}

// Sent are the events so far, in order, those that came again included.
func (m *Memory) Sent() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Event{}, m.sent...)
}
