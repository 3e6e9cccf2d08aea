package auth

import "context"

// Cipher protects personal fields and the successors of refresh tokens. What is sealed opens only at the same place:
// table, key and attribute. An index is equal for equal values of a field and tells nothing else.
type Cipher interface {
	Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error)
	Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error)
	BlindIndex(ctx context.Context, field, value string) (string, error)
}
