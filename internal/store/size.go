package store

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// MaxItem is how many bytes an item may have, by Size (DynamoDB guide, "Service, account, and table quotas").
const MaxItem = 400 << 10

// Size is how many bytes an item has where DynamoDB counts: its names and values, with what lists and maps cost beside
// them (DynamoDB guide, "DynamoDB item sizes and formats"). Sets cost what their elements do; the guide says nothing
// else of them. A number's size is approximate there, and so here: DynamoDB may count a byte more or less. The 100 bytes
// that storage is billed on top are not in it. An item that is not there has none.
func Size(it Item) int {
	size := 0
	for name, v := range it {
		size += len(name) + sizeOf(v)
	}
	return size
}

func sizeOf(v types.AttributeValue) int {
	size := 0
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return numberSize(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
		return 1
	case *types.AttributeValueMemberL:
		for _, element := range v.Value {
			size += 1 + sizeOf(element)
		}
		return 3 + size
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + Size(v.Value)
	case *types.AttributeValueMemberSS:
		for _, element := range v.Value {
			size += len(element)
		}
	case *types.AttributeValueMemberNS:
		for _, element := range v.Value {
			size += numberSize(element)
		}
	case *types.AttributeValueMemberBS:
		for _, element := range v.Value {
			size += len(element)
		}
	}
	return size
}

// numberSize is a byte, and one for each two significant digits: zeros before the first and after the last do not count.
func numberSize(number string) int {
	digits, significant := 0, 0 // from the first that is not zero: all, and up to the last that is not zero
	for _, c := range []byte(number) {
		switch {
		case c == 'e' || c == 'E':
			return 1 + (significant+1)/2
		case c >= '1' && c <= '9':
			digits++
			significant = digits
		case c == '0' && digits > 0:
			digits++
		}
	}
	return 1 + (significant+1)/2
}

// canonical writes equal numbers alike. What is no number stays as it is.
func canonical(number string) string {
	mantissa, exponent := number, 0
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		e, err := strconv.Atoi(number[i+1:])
		if err != nil {
			return number
		}
		mantissa, exponent = number[:i], e
	}
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	kept := strings.TrimRight(digits, "0")
	if kept == "" {
		return "0"
	}
	if strings.HasPrefix(mantissa, "-") {
		kept = "-" + kept
	}
	return kept + "E" + strconv.Itoa(exponent-len(fraction)+len(digits)-len(strings.TrimLeft(kept, "-")))
}

// Consistency is what a read promises, and with it what it costs.
type Consistency uint8

// The three kinds of reads.
const (
	Eventual      Consistency = iota // may miss the latest writes
	Strong                           // shows every write that was answered before
	Transactional                    // strong, of several items at one moment
)

// ReadUnits are the read units of reading size bytes: one for each 4 KB begun, half of that where eventual, twice where
// transactional, at least for one (DynamoDB guide, "DynamoDB read and write operations"). GetItem, BatchGetItem and
// TransactGetItems round each item; Query rounds the sum of what it evaluated, before filter and projection, once a page.
func ReadUnits(size int, c Consistency) float64 {
	units := float64(blocks(size, 4<<10))
	switch c {
	case Strong:
		return units
	case Transactional:
		return 2 * units
	default:
		return units / 2
	}
}

// WriteUnits are the write units of a write: one for each KB begun of the larger of the item before it and after it, 0
// where there is none, at least one, twice in a transaction. A write that its condition refuses costs them too. Each index
// that the write changes costs its own (DynamoDB guide, "DynamoDB read and write operations").
func WriteUnits(before, after int, transactional bool) int {
	units := blocks(max(before, after), 1<<10)
	if transactional {
		return 2 * units
	}
	return units
}

func blocks(size, block int) int { return max(1, (size+block-1)/block) }
