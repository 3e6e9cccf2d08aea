package store_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

// The rules of "DynamoDB item sizes and formats", and the guide's own example of an item of 23 bytes.
func TestSize(t *testing.T) {
	t.Parallel()
	num := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	list := func(v ...types.AttributeValue) types.AttributeValue { return &types.AttributeValueMemberL{Value: v} }
	cases := map[string]struct {
		item store.Item
		want int
	}{
		"none":                     {nil, 0},
		"the guide's":              {store.Item{"shirt-color": store.S("R"), "shirt-size": store.S("M")}, 23},
		"bytes of UTF-8":           {store.Item{"ä": store.S("日本")}, 2 + 6},
		"empty string":             {store.Item{"a": store.S("")}, 1},
		"binary as it is":          {store.Item{"a": store.B(make([]byte, 300))}, 301},
		"true":                     {store.Item{"a": store.Bool(true)}, 2},
		"null":                     {store.Item{"a": &types.AttributeValueMemberNULL{Value: true}}, 2},
		"one digit":                {store.Item{"a": num("7")}, 1 + 2},
		"two digits":               {store.Item{"a": num("42")}, 1 + 2},
		"three digits":             {store.Item{"a": num("421")}, 1 + 3},
		"negative":                 {store.Item{"a": num("-421")}, 1 + 3},
		"trailing zeros":           {store.Item{"a": num("42000000")}, 1 + 2},
		"leading zeros":            {store.Item{"a": num("0000.00042")}, 1 + 2},
		"zeros between":            {store.Item{"a": num("4000.0002")}, 1 + 5},
		"an exponent":              {store.Item{"a": num("1.5E+125")}, 1 + 2},
		"zero":                     {store.Item{"a": num("0")}, 1 + 1},
		"as many digits as may be": {store.Item{"a": num(strings.Repeat("9", 38))}, 1 + 20},
		"empty list":               {store.Item{"a": list()}, 1 + 3},
		"list":                     {store.Item{"a": list(store.S("xy"), num("1"), store.Bool(true))}, 1 + 3 + (1 + 2) + (1 + 2) + (1 + 1)},
		"empty map":                {store.Item{"a": &types.AttributeValueMemberM{Value: store.Item{}}}, 1 + 3},
		"map":                      {store.Item{"a": &types.AttributeValueMemberM{Value: store.Item{"bc": store.S("d")}}}, 1 + 3 + (1 + 2 + 1)},
		"nested":                   {store.Item{"a": list(list(store.S("x")))}, 1 + 3 + 1 + (3 + 1 + 1)},
		"set of strings":           {store.Item{"a": &types.AttributeValueMemberSS{Value: []string{"x", "yz"}}}, 1 + 3},
		"set of numbers":           {store.Item{"a": &types.AttributeValueMemberNS{Value: []string{"1", "1000", "123"}}}, 1 + 2 + 2 + 3},
		"set of bytes":             {store.Item{"a": &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2, 3}}}}, 1 + 3},
		"no value":                 {store.Item{"a": nil}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, store.Size(c.item))
		})
	}
}

// The examples of "DynamoDB read and write operations", and the edges of its blocks.
func TestReadUnits(t *testing.T) {
	t.Parallel()
	const kb = 1024
	for name, c := range map[string]struct {
		size int
		read store.Consistency
		want float64
	}{
		"3.5 KB like 4 KB":       {3500, store.Strong, 1},
		"8 KB strong":            {8 * kb, store.Strong, 2},
		"8 KB eventual":          {8 * kb, store.Eventual, 1},
		"8 KB transactional":     {8 * kb, store.Transactional, 4},
		"10 KB":                  {10 * kb, store.Strong, 3},
		"a query of 40.8 KB":     {408 * kb / 10, store.Strong, 11},
		"one of 1.5 KB":          {15 * kb / 10, store.Strong, 1},
		"one of 6.5 KB":          {65 * kb / 10, store.Strong, 2},
		"nothing there":          {0, store.Strong, 1},
		"nothing there eventual": {0, store.Eventual, 0.5},
		"4 KB":                   {4 * kb, store.Transactional, 2},
		"a byte over 4 KB":       {4*kb + 1, store.Eventual, 1},
		"as large as may be":     {store.MaxItem, store.Strong, 100},
	} {
		require.Equal(t, c.want, store.ReadUnits(c.size, c.read), name)
	}
}

func TestWriteUnits(t *testing.T) {
	t.Parallel()
	const kb = 1024
	for name, c := range map[string]struct {
		before, after int
		transactional bool
		want          int
	}{
		"500 bytes like 1 KB":    {0, 500, false, 1},
		"3.5 KB like 4 KB":       {0, 35 * kb / 10, false, 4},
		"2 KB":                   {0, 2 * kb, false, 2},
		"2 KB in a transaction":  {0, 2 * kb, true, 4},
		"a larger item replaced": {3 * kb, kb, false, 3},
		"a larger item made":     {kb, 3 * kb, false, 3},
		"deleted":                {1500, 0, false, 2},
		"nothing to delete":      {0, 0, false, 1},
		"a byte over 1 KB":       {0, kb + 1, false, 2},
		"as large as may be":     {0, store.MaxItem, true, 800},
	} {
		require.Equal(t, c.want, store.WriteUnits(c.before, c.after, c.transactional), name)
	}
}

func BenchmarkSize(b *testing.B) {
	it := store.Item{"pk": store.S("USER#0b6e2f6e-0000-4000-8000-00000000000a"), "sk": store.S("TX#01a3185c-5000-7abc-8def-000000000000"), "amount": store.N(-1250),
		"currency": store.S("GBP"), "category": store.S("food"), "date": store.S("2026-11-24"), "version": store.N(1), "tags": &types.AttributeValueMemberSS{Value: []string{"a", "b"}}}
	b.ReportAllocs()
	for b.Loop() {
		store.Size(it)
	}
}
