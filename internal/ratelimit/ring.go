package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// slots is into how many parts a window is divided. A request is counted for the window and up to one slot more, so that
// the rate which is kept up for long is slots/(slots+1) of the limit.
const slots = 10

// A counter's item has these attributes beside its key pk: s<slot> with the requests counted in a slot, lk with the slot
// that was written last, bu with the first slot in which there is room again, and ttl.
// No name in it is older than lk-slots-1: one slot more than counts, so that a sandbox whose clock is up to a slot behind
// counts what it should.

// policy is a limit with what follows from it.
type policy struct {
	environ.Limit
	class service.Limit
	slot  time.Duration // a tenth of the window, rounded up, so that ten are never less than it
}

func newPolicy(class service.Limit, l environ.Limit) policy {
	return policy{Limit: l, class: class, slot: (l.Per + slots - 1) / slots}
}

// at is the number of the slot that now is in.
func (p policy) at(now time.Time) int64 { return now.UnixNano() / int64(p.slot) }

// until is how long it is from now to the start of a slot.
func (p policy) until(slot int64, now time.Time) time.Duration {
	return time.Unix(0, slot*int64(p.slot)).Sub(now)
}

// expires is when an item that is not written after slot k means nothing any more, two windows late: epoch seconds.
func (p policy) expires(k int64) int64 {
	return (k+1)*int64(p.slot)/int64(time.Second) + int64(math.Ceil(2*p.Per.Seconds())) + 1
}

// key is the counter's key. The window is part of it: another window numbers its slots otherwise.
func (p policy) key(route, subject string) string {
	return fmt.Sprintf("RL#%s/%d#%s#%s", p.class, p.Per.Milliseconds(), route, subject)
}

// ring is the requests counted by slot.
type ring map[int64]int64

// total is what counts in slot k: its own requests and those of the ten slots before, the oldest in full, and whatever
// a clock that is ahead has put after it.
func (r ring) total(k int64) int64 {
	var n int64
	for slot, count := range r {
		if slot >= k-slots {
			n += count
		}
	}
	return n
}

// room is the first slot in which the oldest of what counts in slot k no longer does.
func (r ring) room(k int64) int64 {
	oldest := k
	for slot, count := range r {
		if slot >= k-slots && slot < oldest && count > 0 {
			oldest = slot
		}
	}
	return oldest + slots + 1
}

// drop forgets what no longer counts in slot k.
func (r ring) drop(k int64) {
	for slot := range r {
		if slot < k-slots {
			delete(r, slot)
		}
	}
}

// counter is an item as it was read.
type counter struct {
	ring    ring
	last    int64 // lk
	blocked int64 // bu, 0 without one
}

// parse reads an item. An attribute that is not ours to read is an error: the item cannot be trusted then.
func parse(item store.Item) (counter, error) {
	r := store.Read(item)
	c := counter{ring: ring{}, last: r.N("lk"), blocked: r.OptN("bu")}
	for name := range item {
		slot, isSlot, err := slotOf(name)
		if err != nil {
			return counter{}, err
		}
		if isSlot {
			c.ring[slot] = r.N(name)
		}
	}
	return c, r.Err()
}

func slotOf(name string) (slot int64, isSlot bool, err error) {
	digits, ok := strings.CutPrefix(name, "s")
	if !ok {
		return 0, false, nil
	}
	slot, err = strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("attribute %q of a counter is not a slot", name)
	}
	return slot, true, nil
}

func slotName(slot int64) string { return "s" + strconv.FormatInt(slot, 10) }

func keyed(pk string) store.Item { return store.Item{"pk": store.S(pk)} }

// count adds a request to slot k and drops the slots that went out of use since the last write, which is at most
// slots+1 before. It is refused where the last write is older, and where a block says that there is no room yet.
func (p policy) count(pk string, k int64) *dynamodb.UpdateItemInput {
	stale := make([]string, 0, slots+1)
	for i := range int64(slots + 1) {
		stale = append(stale, slotName(k-slots-2-i))
	}
	return p.add(pk, k, stale,
		"attribute_not_exists(pk) OR lk >= :guard AND (attribute_not_exists(bu) OR bu <= :k)",
		store.Item{":guard": store.N(k - slots - 1)})
}

// restart is count for a counter that was idle for longer than its window: it drops every slot that went out of use. It
// needs no condition: those slots are never written again, and others that restart it at the same time add to it too.
func (p policy) restart(pk string, k int64, c counter) *dynamodb.UpdateItemInput {
	stale := []string{"bu"}
	for slot := range c.ring {
		if slot < k-slots-1 {
			stale = append(stale, slotName(slot))
		}
	}
	return p.add(pk, k, stale, "", store.Item{})
}

func (p policy) add(pk string, k int64, stale []string, condition string, values store.Item) *dynamodb.UpdateItemInput {
	values[":k"], values[":one"], values[":ttl"] = store.N(k), store.N(1), store.N(p.expires(k))
	in := &dynamodb.UpdateItemInput{
		Key: keyed(pk),
		UpdateExpression: aws.String("ADD " + slotName(k) + " :one SET lk = :k, #ttl = :ttl REMOVE " +
			strings.Join(stale, ", ")),
		ExpressionAttributeNames:  map[string]string{"#ttl": "ttl"},
		ExpressionAttributeValues: values,
		ReturnValues:              types.ReturnValueAllNew,
	}
	if condition != "" {
		in.ConditionExpression = aws.String(condition)
	}
	return in
}

// refund takes a request that found no room out of slot k again and blocks the counter until there is some. It is
// refused when the slot is gone meanwhile: then nothing is left to take out.
func refund(pk string, k, room int64) *dynamodb.UpdateItemInput {
	slot := slotName(k)
	return &dynamodb.UpdateItemInput{
		Key:                 keyed(pk),
		UpdateExpression:    aws.String("ADD " + slot + " :less SET bu = :room"),
		ConditionExpression: aws.String(slot + " >= :one"),
		ExpressionAttributeValues: store.Item{
			":less": store.N(-1), ":one": store.N(1), ":room": store.N(room)},
	}
}
