package fieldcrypt_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A field of 64 bytes at a place of 80 bytes of associated data.
var (
	benchField = bytes.Repeat([]byte("x"), 64)
	benchKey   = strings.Repeat("u", 51)
)

func BenchmarkSeal(b *testing.B) {
	c := newWorld().sandbox(0)
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Seal(b.Context(), "users", benchKey, "email", benchField)
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c := newWorld().sandbox(0)
	sealed, err := c.Seal(b.Context(), "users", benchKey, "email", benchField)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Open(b.Context(), "users", benchKey, "email", sealed)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUserKeyOpen unwraps a person's key and opens one field with it, as a request does.
func BenchmarkUserKeyOpen(b *testing.B) {
	c := newWorld().sandbox(0)
	key, wrapped, err := c.NewUserKey(b.Context(), "u1")
	require.NoError(b, err)
	sealed, err := key.Seal("users", benchKey, "email", benchField)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		key, err := c.OpenUserKey(b.Context(), "u1", wrapped)
		if err != nil {
			b.Fatal(err)
		}
		_, err = key.Open("users", benchKey, "email", sealed)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUserKeyOpenMore opens a further field with a key that is open.
func BenchmarkUserKeyOpenMore(b *testing.B) {
	key, _, err := newWorld().sandbox(0).NewUserKey(b.Context(), "u1")
	require.NoError(b, err)
	sealed, err := key.Seal("users", benchKey, "email", benchField)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err = key.Open("users", benchKey, "email", sealed)
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBlindIndex(b *testing.B) {
	c := newWorld().sandbox(0)
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.BlindIndex(b.Context(), "email", "ada@example.com")
		if err != nil {
			b.Fatal(err)
		}
	}
}
