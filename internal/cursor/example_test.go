package cursor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/cursor"
)

// A page ends where a position says; the next one begins there, for the same user and filters.
func Example() {
	ctx, cursors := context.Background(), cursor.New(cursor.Config{Environment: "dev"})
	november := cursor.Scope{User: "ada", Operation: "listTransactions", Filters: []string{"2026-11"}}
	text, err := cursors.Seal(ctx, november, "2026-11-24#17", time.Time{})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(cursors.Open(ctx, november, text, time.Now()))

	december := cursor.Scope{User: "ada", Operation: "listTransactions", Filters: []string{"2026-12"}}
	_, err = cursors.Open(ctx, december, text, time.Now())
	fmt.Println(err)
	// Output:
	// 2026-11-24#17 <nil>
	// cursor: not of this list
}
