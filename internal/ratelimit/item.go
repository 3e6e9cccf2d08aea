package ratelimit

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// slots is into how many parts a window is divided. A request is counted for the window and up to one slot more, so that
// the rate which is kept up for long is slots/(slots+1) of the limit.
const slots = 10

// All counters of a subject are in one item. It has these attributes beside its key pk and its ttl:
//
//	<counter>S<slot>  the requests counted in a slot
//	<counter>B        the first slot in which there is room again
//	x…                a revocation (package revoke)
//	since             since when the revocations are complete (package revoke)
//
// A counter's name is five letters of the hash of its class and route, and its window in seconds: another window numbers
// its slots otherwise, and whoever reads the item can tell of any counter which slots are out of use.
//
// A slot is out of use when it is older than the slots+1 before the current one: one slot more than counts, so that a
// sandbox whose clock is up to a slot behind counts what it should. Slots out of use and marks that are over are named
// absolutely and never written again; so a sandbox that has read them can remove them with its next write, whatever
// happened meanwhile. A block is only a short cut: removing a live one costs a call and admits nobody.

const (
	// litterKept is how much that is out of use may stay in an item until it is written to again. Beyond, it is removed
	// at once: many sandboxes that each serve a subject once would let the item grow.
	litterKept = 24
	// litterRemoved is how much is removed with one write, far below the 4 KB of an expression (DynamoDB guide, "Quotas").
	litterRemoved = 100
)

// policy is a limit with what follows from it.
type policy struct {
	environ.Limit
	class service.Limit
	slot  time.Duration // a tenth of the window
	name  string        // of the counter, in the item of each subject
}

func newPolicy(class service.Limit, route string, l environ.Limit) policy {
	return policy{Limit: l, class: class, slot: l.Per / slots, name: counterName(class, route, l.Per)}
}

// letters is how much of the hash is in a counter's name: 24 bits.
const letters = 5

// counterName is unique over the backend (a test holds it). It begins with a letter from a to p, so that it is no mark,
// and ends with a digit, so that its attributes are no reserved words and need no placeholders.
func counterName(class service.Limit, route string, per time.Duration) string {
	sum := sha256.Sum256([]byte(string(class) + "/" + route))
	tail := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:letters-1])
	return string('a'+rune(sum[31]&15)) + tail + strconv.FormatInt(int64(per/time.Second), 10)
}

// counterOf splits an attribute's name into counter and what is said of it, and tells the counter's slot width.
func counterOf(attribute string) (name, what string, slot time.Duration, ok bool) {
	end := strings.IndexAny(attribute, "SB")
	if end <= letters || attribute[0] < 'a' || attribute[0] > 'p' {
		return "", "", 0, false
	}
	seconds, err := strconv.ParseInt(attribute[letters:end], 10, 32)
	if err != nil || seconds < 1 || strconv.FormatInt(seconds, 10) != attribute[letters:end] {
		return "", "", 0, false
	}
	return attribute[:end], attribute[end:], time.Duration(seconds) * time.Second / slots, true
}

func (p policy) slotName(slot int64) string { return p.name + "S" + strconv.FormatInt(slot, 10) }
func (p policy) blockName() string          { return p.name + "B" }

// at is the number of the slot that now is in.
func (p policy) at(now time.Time) int64 { return now.UnixNano() / int64(p.slot) }

// until is how long it is from now to the start of a slot.
func (p policy) until(slot int64, now time.Time) time.Duration {
	return time.Unix(0, slot*int64(p.slot)).Sub(now)
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

// room is the first slot in which so many of what counts in slot k no longer do, the oldest first.
func (r ring) room(k, need int64) int64 {
	var counting []int64
	for slot, count := range r {
		if slot >= k-slots && count > 0 {
			counting = append(counting, slot)
		}
	}
	slices.Sort(counting)
	for _, slot := range counting {
		if need -= r[slot]; need <= 0 {
			return slot + slots + 1
		}
	}
	return k + slots + 1
}

// drop forgets what no longer counts in slot k.
func (r ring) drop(k int64) {
	for slot := range r {
		if slot < k-slots {
			delete(r, slot)
		}
	}
}

// item is what was read of a subject.
type item struct {
	rings  map[string]ring
	blocks map[string]int64
	marks  []revoke.Mark // at most one of all the user's tokens: the last
	since  int64         // the second from which on marks are complete
	litter []string      // attributes out of use
}

// most is more than any slot can hold; a number beyond it is none of ours.
const most = 1 << 40

// parse reads an item. An attribute that is not ours is an error: whoever wrote it may have meant that the subject is to
// be refused.
func parse(attributes store.Item, now time.Time) (item, error) {
	r := store.Read(attributes)
	it := item{rings: map[string]ring{}, blocks: map[string]int64{}, since: math.MaxInt64}
	for attribute := range attributes {
		switch attribute {
		case "pk", "ttl":
			continue
		case revoke.Since:
			it.since = r.N(attribute)
			continue
		}
		if m, ok := revoke.ParseMark(attribute); ok {
			it.mark(m, now)
			continue
		}
		name, what, width, ok := counterOf(attribute)
		if !ok || !it.take(name, what, r.N(attribute), now.UnixNano()/int64(width)-slots-1) {
			return item{}, errors.New("an item of counters has an attribute that means nothing")
		}
	}
	if err := r.Err(); err != nil {
		return item{}, err
	}
	slices.Sort(it.litter)
	return it, nil
}

// mark takes over a revocation. Of those of all the user's tokens, the last says what the others do.
func (it *item) mark(m revoke.Mark, now time.Time) {
	if m.Over(now) {
		it.litter = append(it.litter, m.Name())
		return
	}
	i := slices.IndexFunc(it.marks, func(other revoke.Mark) bool { return m.Session == "" && other.Session == "" })
	if i < 0 {
		it.marks = append(it.marks, m)
		return
	}
	if m.At > it.marks[i].At {
		m, it.marks[i] = it.marks[i], m
	}
	it.litter = append(it.litter, m.Name())
}

// take takes over an attribute of a counter. oldest is its oldest slot in use.
func (it *item) take(name, what string, n, oldest int64) bool {
	if what == "B" {
		if it.blocks[name] = n; n < oldest {
			it.litter = append(it.litter, name+what)
		}
		return true
	}
	slot, err := strconv.ParseInt(what[1:], 10, 64)
	if err != nil || what != "S"+strconv.FormatInt(slot, 10) || n < 0 || n > most {
		return false
	}
	if slot < oldest {
		it.litter = append(it.litter, name+what)
		return true
	}
	if it.rings[name] == nil {
		it.rings[name] = ring{}
	}
	it.rings[name][slot] = n
	return true
}

// draft is an UpdateItem in the making.
type draft struct {
	in         *dynamodb.UpdateItemInput
	add        []string
	conditions []string
}

func newDraft(key string) *draft {
	return &draft{in: &dynamodb.UpdateItemInput{Key: store.Item{"pk": store.S(key)},
		ExpressionAttributeNames: map[string]string{}, ExpressionAttributeValues: store.Item{}}}
}

// value is the placeholder of a number.
func (u *draft) value(n int64) string {
	name := ":v" + strconv.Itoa(len(u.in.ExpressionAttributeValues))
	u.in.ExpressionAttributeValues[name] = store.N(n)
	return name
}

// name is the placeholder of an attribute whose name could not stand in an expression.
func (u *draft) name(attribute string) string {
	name := "#n" + strconv.Itoa(len(u.in.ExpressionAttributeNames))
	u.in.ExpressionAttributeNames[name] = attribute
	return name
}

func (u *draft) finish(set string, remove []string) *dynamodb.UpdateItemInput {
	var clauses []string
	if len(u.add) > 0 {
		clauses = append(clauses, "ADD "+strings.Join(u.add, ", "))
	}
	if set != "" {
		clauses = append(clauses, "SET "+set)
	}
	if len(remove) > 0 {
		names := make([]string, len(remove))
		for i, attribute := range remove {
			names[i] = u.name(attribute)
		}
		clauses = append(clauses, "REMOVE "+strings.Join(names, ", "))
	}
	u.in.UpdateExpression = aws.String(strings.Join(clauses, " "))
	if len(u.conditions) > 0 {
		u.in.ConditionExpression = aws.String(strings.Join(u.conditions, " AND "))
	}
	if len(u.in.ExpressionAttributeNames) == 0 {
		u.in.ExpressionAttributeNames = nil
	}
	if len(u.in.ExpressionAttributeValues) == 0 {
		u.in.ExpressionAttributeValues = nil
	}
	return u.in
}

// charge adds to the slots of all counts of an item and removes litter. It is refused, and nothing is counted, where a
// block says that one of them has no room yet.
func charge(key string, now time.Time, checks []check, litter []string) *dynamodb.UpdateItemInput {
	u := newDraft(key)
	for _, c := range checks {
		litter = slices.DeleteFunc(litter, func(attribute string) bool { return attribute == c.slotName(c.k) }) // a clock that went back
		u.add = append(u.add, c.slotName(c.k)+" "+u.value(c.cost))
		u.conditions = append(u.conditions, fmt.Sprintf("(attribute_not_exists(%[1]s) OR %[1]s <= %s)", c.blockName(), u.value(c.k)))
	}
	set := fmt.Sprintf("%s = %s, %[3]s = if_not_exists(%[3]s, %s)", u.name("ttl"), u.value(now.Add(revoke.Kept).Unix()), revoke.Since, u.value(from(now)))
	in := u.finish(set, litter)
	in.ReturnValues = types.ReturnValueAllNew
	return in
}

// refund takes a charge out of its slots again and blocks the counters that are full until there is room. It is refused
// when a slot has gone meanwhile: then nothing is left to take out.
func refund(key string, checks []check, results []result) *dynamodb.UpdateItemInput {
	u := newDraft(key)
	var set []string
	for i, c := range checks {
		u.add = append(u.add, c.slotName(c.k)+" "+u.value(-c.cost))
		u.conditions = append(u.conditions, c.slotName(c.k)+" >= "+u.value(c.cost))
		if full := results[i].full; full > 0 {
			set = append(set, c.blockName()+" = "+u.value(full))
		}
	}
	return u.finish(strings.Join(set, ", "), nil)
}

// from is the second from which on everything comes after now, by clocks that are less than half a second apart from the
// true time.
func from(now time.Time) int64 { return now.Unix() + 1 }

// forget removes marks, and says that the table of revoked tokens has to be asked about what was before.
func forget(key string, marks []revoke.Mark, now time.Time) *dynamodb.UpdateItemInput {
	u := newDraft(key)
	names := make([]string, len(marks))
	for i, m := range marks {
		names[i] = m.Name()
	}
	since := u.value(from(now))
	u.conditions = []string{revoke.Since + " <= " + since}
	return u.finish(revoke.Since+" = "+since, names[:min(len(names), litterRemoved)])
}

// clean removes litter.
func clean(key string, litter []string) *dynamodb.UpdateItemInput {
	return newDraft(key).finish("", litter)
}

// seconds rounds up: to come too early would be refused.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
