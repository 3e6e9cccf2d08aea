package applemem

import (
	"context"
	"slices"
	"sync"

	"github.com/expenzez/aws-backend/internal/apple"
)

// Shelf is a shelf in memory. The zero value is empty. It is safe for concurrent use.
type Shelf struct {
	mu    sync.Mutex
	saved apple.Saved
}

var _ apple.Shelf = (*Shelf)(nil)

// Load is what was saved last; it does not fail.
func (s *Shelf) Load(context.Context) (apple.Saved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return apple.Saved{Keys: slices.Clone(s.saved.Keys), Fetched: s.saved.Fetched}, nil
}

// Save puts the newer answer on the shelf, as apple.NewShelf's does, to the second; it does not fail.
func (s *Shelf) Save(_ context.Context, saved apple.Saved) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, is := s.saved.Fetched.Unix(), saved.Fetched.Unix()
	if s.saved.Keys == nil || was < is || was > saved.Fetched.Add(apple.Leeway).Unix() {
		s.saved = apple.Saved{Keys: slices.Clone(saved.Keys), Fetched: saved.Fetched}
	}
	return nil
}
