package apple

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/store"
)

// Saved is Apple's last good answer. The zero value is none.
type Saved struct {
	Keys    []byte // the body of the keys endpoint
	Fetched time.Time
}

// Shelf keeps Apple's last good answer for sandboxes to come. Both calls may fail: sign-in goes on without it.
type Shelf interface {
	Load(context.Context) (Saved, error) // the zero Saved where there is nothing
	Save(context.Context, Saved) error
}

// ShelfTable is a table with the key pk.
type ShelfTable interface {
	store.Getter
	store.Putter
}

// NewShelf is a shelf in an item of a table, which may hold other things under other keys than APPLE#keys.
func NewShelf(table ShelfTable) Shelf { return shelf{table} }

type shelf struct{ table ShelfTable }

func shelfKey() store.Item { return store.Item{"pk": store.S("APPLE#keys")} }

// Load reads the item.
func (s shelf) Load(ctx context.Context) (Saved, error) {
	out, err := s.table.GetItem(ctx, &dynamodb.GetItemInput{Key: shelfKey()})
	if err != nil || out.Item == nil {
		return Saved{}, err
	}
	r := store.Read(out.Item)
	saved := Saved{Keys: r.B("keys"), Fetched: time.Unix(r.N("fetched"), 0)}
	if err := r.Err(); err != nil {
		return Saved{}, fmt.Errorf("apple: shelf: %w", err)
	}
	return saved, nil
}

// Save puts the newer answer on the shelf: one that came later from another sandbox stays, unless it came at a time that
// is still to be, from a clock that was wrong.
func (s shelf) Save(ctx context.Context, saved Saved) error {
	item, fetched := shelfKey(), store.N(saved.Fetched.Unix())
	item["keys"], item["fetched"] = store.B(saved.Keys), fetched
	_, err := s.table.PutItem(ctx, &dynamodb.PutItemInput{Item: item,
		ConditionExpression:       aws.String("attribute_not_exists(pk) OR fetched < :fetched OR fetched > :late"),
		ExpressionAttributeValues: store.Item{":fetched": fetched, ":late": store.N(saved.Fetched.Add(Leeway).Unix())}})
	if errors.Is(err, store.ErrConditionFailed) {
		return nil
	}
	return err
}
