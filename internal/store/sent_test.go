package store

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
)

type httpFunc func(*http.Request) (*http.Response, error)

func (f httpFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// What a chunk is held to is no less than what the SDK sends, and not far above it, whatever the items are made of.
func TestSentIsWhatTheSDKSends(t *testing.T) {
	t.Parallel()
	const amount = 2000
	bools, nested, names, set := Item{}, make([]types.AttributeValue, amount), Item{}, make([]string, amount)
	for i := range amount {
		bools[strconv.FormatInt(int64(i), 36)] = Bool(false)
		names["\x01\""+strconv.Itoa(i)] = &types.AttributeValueMemberNULL{Value: true}
		nested[i] = S("")
		set[i] = "\u2028" + strconv.Itoa(i)
	}
	for name, v := range map[string]types.AttributeValue{
		"controls":         S(strings.Repeat("\x01", amount)),
		"short controls":   S(strings.Repeat("\n\t", amount)),
		"separators":       S(strings.Repeat("\u2028\u2029", amount)),
		"delete":           S(strings.Repeat("\x7f", amount)),
		"quotes":           S(strings.Repeat(`"\`, amount)),
		"markup":           S(strings.Repeat("<>&", amount)),
		"letters":          S(strings.Repeat("日", amount)),
		"no text":          S(strings.Repeat("\xff", amount)),
		"replaced":         S(strings.Repeat("\ufffd", amount)),
		"a number":         &types.AttributeValueMemberN{Value: strings.Repeat("9", 38)},
		"binary":           B(make([]byte, amount)),
		"a byte":           B([]byte{1}),
		"truth":            Bool(true),
		"bools":            &types.AttributeValueMemberM{Value: bools},
		"names":            &types.AttributeValueMemberM{Value: names},
		"an empty map":     &types.AttributeValueMemberM{},
		"empty strings":    &types.AttributeValueMemberL{Value: nested},
		"an empty list":    &types.AttributeValueMemberL{},
		"a set of strings": &types.AttributeValueMemberSS{Value: set},
		"a set of numbers": &types.AttributeValueMemberNS{Value: set},
		"a set of bytes":   &types.AttributeValueMemberBS{Value: [][]byte{make([]byte, amount), {1}, {2}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			length := int64(0)
			db := dynamodb.New(dynamodb.Options{Region: "eu-west-2", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
				Retryer: aws.NopRetryer{}, HTTPClient: httpFunc(func(r *http.Request) (*http.Response, error) {
					length = r.ContentLength
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
				})})
			it := Item{"pk": S("a"), "v": v}
			require.NoError(t, NewTable(db, "orders").BatchWriteItem(t.Context(), Batch{Key: []string{"pk"}, Puts: []Item{it}}))
			const envelope = int64(len(`{"RequestItems":{"orders":[{"PutRequest":{"Item":}}]}}`))
			require.GreaterOrEqual(t, int64(sent(it)), length-envelope)
			if name != "short controls" && name != "replaced" && name != "delete" { // which count as much as they could
				require.Less(t, int64(sent(it)), 2*(length-envelope)+64)
			}
		})
	}
}

func TestCanonicalNumbers(t *testing.T) {
	t.Parallel()
	for want, forms := range map[string][]string{
		"0":     {"0", "-0", "0.00", "+0", "0e10", ""},
		"15E-1": {"1.5", "01.50", "+1.5", "15e-1", "0.15E1", "150E-2"},
		"-2E3":  {"-2000", "-2e3", "-2.0E+3", "-0.002e6"},
		"1e":    {"1e"},
	} {
		for _, form := range forms {
			require.Equal(t, want, canonical(form), form)
		}
	}
}
