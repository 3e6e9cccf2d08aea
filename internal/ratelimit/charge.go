package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/store"
)

// Charge is what a request of uncertain cost was counted for, until Adjust corrects it.
type Charge struct {
	key      string
	check    check
	local    bool // the store does not know of it
	adjusted atomic.Bool
}

// Charge is Count for one count whose cost is an estimate. The charge is nil unless the verdict admits.
//
// The limit is held by what was charged: estimates that are too low admit more, by as much as they were too low. Estimate
// high.
func (l *Limiter) Charge(ctx context.Context, count rest.Count) (rest.Verdict, *Charge, error) {
	groups, err := l.groups([]rest.Count{count})
	if err != nil {
		return rest.Verdict{}, nil, err
	}
	if v, known := l.refused(groups); known {
		return v, nil, nil
	}
	answers := l.ask(ctx, groups)
	v, err := l.verdict(groups, answers)
	if err != nil || !v.Allowed {
		return v, nil, err
	}
	return v, &Charge{key: groups[0].key, check: groups[0].checks[0], local: answers[0].results[0].local}, nil
}

// Adjust makes a charge what it was really for, in the slot where it is counted, so that never less than the truth is
// counted there. A charge is adjusted once: one whose answer is lost may have been, and giving back twice would give what
// is not ours. Until then, and after an error, the estimate counts. When the slot has gone there is nothing to do.
func (l *Limiter) Adjust(ctx context.Context, c *Charge, actual int) error {
	if actual < 0 {
		return errors.New("ratelimit: a cost below 0")
	}
	if !c.adjusted.CompareAndSwap(false, true) {
		return errors.New("ratelimit: the charge was adjusted already")
	}
	more := int64(actual) - c.check.cost
	if more == 0 {
		return nil
	}
	l.memory.adjust(c.key, c.check, more)
	if c.local {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Budget)
	defer cancel()
	_, err := update(ctx, l.table, correct(c.key, c.check, more))
	if err != nil && !errors.Is(err, store.ErrConditionFailed) {
		return fmt.Errorf("ratelimit: adjust class %s: %w", c.check.class, err)
	}
	return nil
}

// correct changes what a check counts for, unless its slot has gone. Where that makes room, nobody is blocked.
func correct(key string, c check, more int64) *dynamodb.UpdateItemInput {
	d := newDraft(key)
	d.add = []string{c.slotName(c.k) + " " + d.value(more)}
	d.conditions = []string{c.slotName(c.k) + " >= " + d.value(c.cost)}
	if more > 0 {
		return d.finish("", nil)
	}
	return d.finish("", []string{c.blockName()})
}
