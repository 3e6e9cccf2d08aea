package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/secret/secretmem"
)

// naive is the cache that is written first: one mutex around a map and the call. It neither renews in time nor shares a
// call without holding up everybody else.
type naive struct {
	api     secret.API
	mu      sync.Mutex
	entries map[string]naiveEntry
}

type naiveEntry struct {
	text    string
	expires time.Time
}

func (n *naive) get(ctx context.Context, id string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := n.entries[id]; ok && time.Now().Before(e.expires) {
		return e.text, nil
	}
	out, err := n.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		return "", err
	}
	n.entries[id] = naiveEntry{*out.SecretString, time.Now().Add(5 * time.Minute)}
	return *out.SecretString, nil
}

// A secret that is in memory.
func BenchmarkSecretHit(b *testing.B) {
	const id = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:push-AbCdEf"
	vault := secretmem.New()
	_, err := vault.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("push"), SecretString: aws.String("text")})
	require.NoError(b, err)
	reader := secret.NewReader(vault, secret.Options{})
	plain := &naive{api: vault, entries: map[string]naiveEntry{}}
	read := map[string]func(context.Context) (int, error){
		"ours": func(ctx context.Context) (int, error) {
			v, err := reader.Get(ctx, id)
			return len(v.Reveal()), err
		},
		"mutex_and_map": func(ctx context.Context) (int, error) {
			text, err := plain.get(ctx, id)
			return len(text), err
		},
	}
	for _, who := range []string{"ours", "mutex_and_map"} {
		b.Run(who, func(b *testing.B) {
			ctx, read := b.Context(), read[who]
			b.ReportAllocs()
			for b.Loop() {
				if n, err := read(ctx); err != nil || n == 0 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
