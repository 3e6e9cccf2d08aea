package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

func Example() {
	ctx, now := context.Background(), time.Unix(1_800_000_000, 0)
	db := mem.New(mem.Schema{Name: "sessions", Hash: "pk"}, mem.Schema{Name: "revoked-tokens", Hash: "pk"})
	revokedTokens := store.NewTable(db, "revoked-tokens")
	sessions, err := session.New(session.Config{Table: store.NewTable(db, "sessions"), Tx: db, Sealer: &vault{},
		Revoke: func(_, session string, now time.Time) []store.Write {
			return []store.Write{revokedTokens.PutWrite(types.Put{Item: store.Item{
				"pk": store.S("SID#" + session), "ttl": store.N(now.Add(20 * time.Minute).Unix())}})}
		},
		Events: func(_, _, event string, _ time.Time) []store.Write {
			fmt.Println("event:", event)
			return nil
		}})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, begin := sessions.Begin("user-1", now)
	if err := store.Transact(ctx, db, "", begin); err != nil {
		fmt.Println(err)
		return
	}
	second, err := sessions.Renew(ctx, first.RefreshToken, now)
	fmt.Println("renewed:", second.User, err)
	again, err := sessions.Renew(ctx, first.RefreshToken, now.Add(10*time.Second)) // the answer was lost
	fmt.Println("the same:", again == second, err)
	_, err = sessions.Renew(ctx, first.RefreshToken, now.Add(time.Minute)) // somebody else has it
	fmt.Println("refused:", errors.Is(err, session.ErrRefused))
	_, err = sessions.Renew(ctx, second.RefreshToken, now.Add(time.Minute))
	fmt.Println("refused:", errors.Is(err, session.ErrRefused))
	// Output:
	// renewed: user-1 <nil>
	// the same: true <nil>
	// event: refresh_reused
	// refused: true
	// refused: true
}
