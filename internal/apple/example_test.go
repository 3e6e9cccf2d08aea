package apple_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

func Example() {
	ctx, now := context.Background(), func() time.Time { return time.Unix(1_800_000_000, 0) }

	// Apple, and the key that it gave to our team.
	theirs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ours, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	server := applemem.New(theirs, now, applemem.Client{ID: "com.example.app", TeamID: "TEAM123456", KeyID: "KEY1234567", Key: &ours.PublicKey})

	// A function that signs people in. On AWS HTTP is left out, and credentials are a secret's reader.
	db := mem.New(mem.Schema{Name: "login-attempts", Hash: "pk"})
	table := store.NewTable(db, "login-attempts")
	nonces := apple.NewNonces(table, db)
	keys := apple.NewKeys(apple.KeysOptions{HTTP: inProcess{server}, Shelf: apple.NewShelf(table), Now: now})
	verifier, err := apple.NewVerifier(keys, nonces, now, "com.example.app")
	if err != nil {
		panic(err)
	}
	client, err := apple.NewClient(apple.ClientConfig{ID: "com.example.app", Verifier: verifier, HTTP: inProcess{server}, Now: now,
		Credentials: func(context.Context) (secret.Value, error) { return fileOf(ours) }})
	if err != nil {
		panic(err)
	}

	nonce, err := nonces.Issue(ctx, now())
	if err != nil {
		panic(err)
	}
	// On the device.
	identityToken, code, err := server.SignIn(applemem.Person{Subject: "001234.ada", Email: "ada@example.com"}, "com.example.app", apple.Sent(nonce))
	if err != nil {
		panic(err)
	}
	id, err := verifier.Verify(ctx, identityToken, nonce)
	fmt.Println(id.Subject, id.EmailVerified, err)
	_, err = verifier.Verify(ctx, identityToken, nonce)
	fmt.Println("again:", errors.Is(err, apple.ErrNonce))

	refresh, err := client.Exchange(ctx, code, id.Subject)
	fmt.Println("kept for later:", refresh, err)
	fmt.Println("the account is deleted:", client.Revoke(ctx, refresh), server.Authorized("001234.ada"))
	// Output:
	// 001234.ada true <nil>
	// again: true
	// kept for later: [redacted] <nil>
	// the account is deleted: <nil> 0
}

func fileOf(key *ecdsa.PrivateKey) (secret.Value, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := json.Marshal(map[string]string{"teamId": "TEAM123456", "keyId": "KEY1234567",
		"privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	return secret.NewValue(string(text)), err
}
