package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/cache"
)

// Categories change rarely: they are read once and then known for ten minutes.
func Example() {
	hits := 0
	categories := cache.New(cache.Options[string, []string]{
		Soft:    10 * time.Minute,
		Entries: 512,
		Observe: func(hit bool) {
			if hit {
				hits++
			}
		},
	})
	read := func(_ context.Context, user string) ([]string, error) {
		fmt.Println("reading those of", user)
		return []string{"groceries", "rent"}, nil
	}
	for range 3 {
		list, err := categories.GetOrLoad(context.Background(), "ada", read)
		fmt.Println(list, err)
	}
	fmt.Println("hits:", hits)
	// Output:
	// reading those of ada
	// [groceries rent] <nil>
	// [groceries rent] <nil>
	// [groceries rent] <nil>
	// hits: 2
}
