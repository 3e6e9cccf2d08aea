package store

import (
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ErrConditionFailed is what a write's refusal by its own condition is, alone or in a transaction.
var ErrConditionFailed = errors.New("condition not met")

// ConditionFailedError is the refusal of a single write. Old is the item that refused it, nil when there was none.
// Its text holds no values.
type ConditionFailedError struct{ Old Item }

func (e *ConditionFailedError) Error() string { return ErrConditionFailed.Error() }

// Is makes the refusal an ErrConditionFailed.
func (e *ConditionFailedError) Is(target error) bool { return target == ErrConditionFailed }

// Code says why a write canceled its transaction, in DynamoDB's words (API reference, TransactWriteItems).
type Code string

// The codes that a program decides on; others are passed through.
const (
	None            Code = "None" // this write did not object
	ConditionFailed Code = "ConditionalCheckFailed"
	Conflict        Code = "TransactionConflict"
	Throttled       Code = "ThrottlingError"
	Overloaded      Code = "ProvisionedThroughputExceeded"
	Invalid         Code = "ValidationError"
)

// Reason is one write's part in a canceled transaction. Old is set for ConditionFailed when the item exists.
type Reason struct {
	Code Code
	Old  Item
}

// CancelledError is a transaction of which nothing was done. Reasons are in the order of the writes.
// It is an ErrConditionFailed when at least one condition refused. Its text holds no values.
type CancelledError struct{ Reasons []Reason }

func (e *CancelledError) Error() string {
	var b strings.Builder
	b.WriteString("transaction canceled:")
	for i, r := range e.Reasons {
		if r.Code != None {
			b.WriteString(" write " + strconv.Itoa(i) + " " + string(r.Code) + ";")
		}
	}
	return strings.TrimSuffix(b.String(), ";")
}

// Is makes a transaction that a condition canceled an ErrConditionFailed.
func (e *CancelledError) Is(target error) bool {
	return target == ErrConditionFailed && e.any(ConditionFailed)
}

// Refused tells whether the condition of write i refused, and with which item.
func (e *CancelledError) Refused(i int) (old Item, refused bool) {
	if i < 0 || i >= len(e.Reasons) || e.Reasons[i].Code != ConditionFailed {
		return nil, false
	}
	return e.Reasons[i].Old, true
}

func (e *CancelledError) any(code Code) bool {
	for _, r := range e.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

// transient tells whether every objection is one that time removes.
func (e *CancelledError) transient() bool {
	objected := false
	for _, r := range e.Reasons {
		switch r.Code {
		case None:
		case Conflict, Throttled, Overloaded:
			objected = true
		default:
			return false
		}
	}
	return objected
}

// Transient tells whether err is a conflict or a throttle: the same call may succeed a little later and changed nothing
// now. The client has already tried again when it is seen here; the caller answers 503 or takes its fallback.
func Transient(err error) bool {
	var canceled *CancelledError
	if errors.As(err, &canceled) {
		return canceled.transient()
	}
	var raw *types.TransactionCanceledException
	if errors.As(err, &raw) {
		return cancelledFrom(raw).transient()
	}
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		return false
	}
	switch coded.ErrorCode() {
	case "TransactionConflictException", "TransactionInProgressException", "ProvisionedThroughputExceededException",
		"ThrottlingException", "RequestLimitExceeded", "ReplicatedWriteConflictException":
		return true
	}
	return false
}

func cancelledFrom(raw *types.TransactionCanceledException) *CancelledError {
	e := &CancelledError{Reasons: make([]Reason, len(raw.CancellationReasons))}
	for i, r := range raw.CancellationReasons {
		e.Reasons[i] = Reason{Code: None, Old: r.Item}
		if r.Code != nil && *r.Code != "" {
			e.Reasons[i].Code = Code(*r.Code)
		}
	}
	return e
}
