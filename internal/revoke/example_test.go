package revoke_test

import (
	"context"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// A phone signs out; the laptop does not.
func Example() {
	ctx, now := context.Background(), time.Unix(1_800_000_000, 0)
	db := mem.New(mem.Schema{Name: "revoked-tokens", Hash: "pk"}, mem.Schema{Name: "rate-limits", Hash: "pk"})
	revoked := store.NewTable(db, "revoked-tokens")
	tables := revoke.Tables{Revoked: revoked, Counters: store.NewTable(db, "rate-limits")}

	// A phone signs out. What else belongs to it goes into the same transaction.
	if err := store.Transact(ctx, db, "", tables.Session("ada", "phone", now)...); err != nil {
		fmt.Println(err)
	}
	for _, session := range []string{"phone", "laptop"} {
		ended, err := revoke.Ended(ctx, revoked, revoke.Token{User: "ada", Session: session, IssuedAt: now.Add(-time.Minute)}, now)
		fmt.Println(session, ended, err)
	}
	// Output:
	// phone true <nil>
	// laptop false <nil>
}
