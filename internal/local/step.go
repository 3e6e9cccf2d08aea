package local

import (
	"context"
	"fmt"
	"io"
	"time"
)

// stillRunning is how often a step says that it is not stuck.
const stillRunning = 10 * time.Second

// Step runs a long step and tells out what it is, how long it has taken so far, and how long it took.
func Step(ctx context.Context, out io.Writer, name string, do func(context.Context) error) error {
	start := time.Now()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("• %s", name)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(stillRunning)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				say("  %s: %.0f s so far", name, time.Since(start).Seconds())
			}
		}
	}()
	err := do(ctx)
	close(stop)
	<-stopped
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	say("  done in %.1f s", time.Since(start).Seconds())
	return nil
}
