package fieldcrypt_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// A person's address is sealed under their own key. Without the wrapped key it is noise.
func Example() {
	ctx := context.Background()
	key := kmsmem.New("arn:aws:kms:eu-west-2:111122223333:key/1", map[string]string{"app": "expenzez", "env": "dev", "purpose": "pii"})
	table := store.NewTable(mem.New(mem.Schema{Name: "users", Hash: "pk"}), "users")
	cipher := fieldcrypt.New(key, table, fieldcrypt.Config{Key: "arn:aws:kms:eu-west-2:111122223333:key/1", Environment: "dev", Purpose: "pii"})

	ada, wrapped, err := cipher.NewUserKey(ctx, "ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	email, err := ada.Seal("users", "ada", "email", []byte("ada@example.com"))
	if err != nil {
		fmt.Println(err)
		return
	}
	item := store.Item{"pk": store.S("USER#ada"), "dek": store.B(wrapped), "email": store.B(email)}

	read := func(item store.Item) {
		r := store.Read(item)
		owner, err := cipher.OpenUserKey(ctx, "ada", r.OptB("dek"))
		if errors.Is(err, fieldcrypt.ErrSealed) {
			fmt.Println("shredded")
			return
		}
		plain, err := owner.Open("users", "ada", "email", r.B("email"))
		fmt.Println(string(plain), err)
	}
	read(item)
	delete(item, "dek")
	read(item)
	fmt.Println(key.Calls())
	// Output:
	// ada@example.com <nil>
	// shredded
	// [GenerateDataKey]
}
