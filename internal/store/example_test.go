package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// budgets is what one handler may do with its table, and no more: another call does not compile.
type budgets interface {
	store.Getter
	store.Updater
	store.BatchWriter
}

// A batch makes budgets; one is changed from the version that was read, and then not from that version again.
func Example() {
	ctx := context.Background()
	var table budgets = store.NewTable(mem.New(mem.Schema{Name: "budgets", Hash: "pk"}), "budgets")
	batch := store.Batch{Key: []string{"pk"}}
	for _, category := range []string{"food", "rent"} {
		batch.Puts = append(batch.Puts, store.Item{"pk": store.S(category), "limit": store.N(100), store.VersionAttribute: store.N(1)})
	}
	if err := table.BatchWriteItem(ctx, batch); err != nil {
		var left *store.LeftoverError
		fmt.Println("go on with", errors.As(err, &left))
	}

	food := store.Item{"pk": store.S("food")}
	change := store.Change{Key: food, From: 1, Set: store.Item{"limit": store.N(150)}, ID: "an ID of this change alone"}
	fmt.Println(store.ChangeVersion(ctx, table, change))
	change.ID = "another change"
	fmt.Println(errors.Is(store.ChangeVersion(ctx, table, change), store.ErrVersion))

	out, err := table.GetItem(ctx, &dynamodb.GetItemInput{Key: food})
	if err != nil {
		fmt.Println(err)
	}
	r := store.Read(out.Item)
	fmt.Println(r.N("limit"), r.N(store.VersionAttribute), store.Size(out.Item), r.Err())
	// Output:
	// <nil>
	// true
	// 150 2 55 <nil>
}
