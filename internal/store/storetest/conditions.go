package storetest

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// rich is an item with a value of each type.
func rich() store.Item {
	return store.Item{"sk": s("1"), "s": s("text"), "n": n("10"), "b": b(1, 2), "t": store.Bool(true), "z": null, "l": l(s("x"), n("1")),
		"m": m(store.Item{"a": m(store.Item{"b": s("deep")})}), "ss": ss("x", "y"), "ns": ns("1", "2"), "status": s("active")}
}

// conditions are the language of conditions and filters (DynamoDB guide, "Condition and filter expressions, operators,
// and functions"), asked of an item of the type of each value.
func conditions() []one {
	const yes, no = "met", "ConditionalCheckFailedException nothing"
	long := "s = :a" + strings.Repeat(" ", 4100)
	var all []one
	for _, c := range []struct {
		expression string
		values     store.Item
		want       string
		names      map[string]string
	}{
		{"s = :a", vals(s("text")), yes, nil},
		{":a = s", vals(s("text")), yes, nil},
		{"n = :a", vals(n("10.0")), yes, nil},
		{"n = :a", vals(n("1E1")), yes, nil},
		{"b = :a", vals(b(1, 2)), yes, nil},
		{"t = :a", vals(store.Bool(true)), yes, nil},
		{"z = :a", vals(null), yes, nil},
		{"l = :a", vals(l(s("x"), n("1.0"))), yes, nil},
		{"m = :a", vals(m(store.Item{"a": m(store.Item{"b": s("deep")})})), yes, nil},
		{"ss = :a", vals(ss("y", "x")), yes, nil},
		{"ns = :a", vals(ns("2.0", "1")), yes, nil},
		{"s <> :a", vals(s("other")), yes, nil},
		{"s <> :a", vals(n("1")), yes, nil},
		{"gone <> :a", vals(s("x")), yes, nil},
		{"n <> s", nil, yes, nil},
		{"n < :a", vals(n("10.5")), yes, nil},
		{"n < :a AND n > :b", vals(n("100"), n("9")), yes, nil},
		{"n >= :a and n <= :a", vals(n("10")), yes, nil},
		{"s < :a", vals(s("u")), yes, nil},
		{"s > :a", vals(s("Text")), yes, nil},
		{"b < :a", vals(b(1, 3)), yes, nil},
		{"n BETWEEN :a AND :b", vals(n("9"), n("10")), yes, nil},
		{"n between :a and :b AND s = :c", vals(n("9"), n("10"), s("text")), yes, nil},
		{":a BETWEEN n AND :b", vals(n("11"), n("12")), yes, nil},
		{"s IN (:a, :b)", vals(s("none"), s("text")), yes, nil},
		{"attribute_exists(m.a.b)", nil, yes, nil},
		{"attribute_exists(l[1])", nil, yes, nil},
		{"attribute_not_exists(l[2])", nil, yes, nil},
		{"attribute_not_exists(m.x.y)", nil, yes, nil},
		{"attribute_not_exists(s.x)", nil, yes, nil},
		{"attribute_not_exists(s[0])", nil, yes, nil},
		{"attribute_type(z, :a)", vals(s("NULL")), yes, nil},
		{"attribute_type(ns, :a)", vals(s("NS")), yes, nil},
		{"begins_with(s, :a)", vals(s("te")), yes, nil},
		{"begins_with(s, :a)", vals(s("")), yes, nil},
		{"begins_with(b, :a)", vals(b(1)), yes, nil},
		{"contains(s, :a)", vals(s("ex")), yes, nil},
		{"contains(ss, :a)", vals(s("x")), yes, nil},
		{"contains(ns, :a)", vals(n("2.0")), yes, nil},
		{"contains(l, :a)", vals(n("1")), yes, nil},
		{"size(s) = :a", vals(n("4")), yes, nil},
		{"size(l) = :a AND size(ss) = :a AND size(b) = :a", vals(n("2")), yes, nil},
		{"size(m) < :a", vals(n("2")), yes, nil},
		{"l[0] = :a", vals(s("x")), yes, nil},
		{"m.a.b = :a", vals(s("deep")), yes, nil},
		{"#m.#a.#b = :a", vals(s("deep")), yes, map[string]string{"#m": "m", "#a": "a", "#b": "b"}},
		{"#0 = :a", vals(s("active")), yes, map[string]string{"#0": "status"}},
		{"NOT s = :a", vals(s("other")), yes, nil},
		{"NOT attribute_exists(gone)", nil, yes, nil},
		{"s = :a OR n = :b AND n = :b", vals(s("text"), n("0")), yes, nil},
		{"pk <> :a AND sk = :b", vals(s("x"), s("1")), yes, nil},

		{"s = :a", vals(n("10")), no, nil},
		{"s = :a", vals(s("Text")), no, nil},
		{"s = gone", nil, no, nil},
		{"gone = :a", vals(null), no, nil},
		{"gone < :a", vals(s("x")), no, nil},
		{"n > :a", vals(s("1")), no, nil},
		{"s <> :a", vals(s("text")), no, nil},
		{"(s = :a OR n = :b) AND n = :b", vals(s("text"), n("0")), no, nil},
		{"NOT s = :a AND n = :b", vals(s("text"), n("0")), no, nil},
		{"n BETWEEN :a AND :b", vals(n("11"), n("12")), no, nil},
		{"gone BETWEEN :a AND :b", vals(n("1"), n("2")), no, nil},
		{"s IN (:a)", vals(s("none")), no, nil},
		{"attribute_exists(gone)", nil, no, nil},
		{"attribute_exists(m.a.c)", nil, no, nil},
		{"attribute_not_exists(s)", nil, no, nil},
		{"attribute_type(s, :a)", vals(s("N")), no, nil},
		{"attribute_type(gone, :a)", vals(s("S")), no, nil},
		{"begins_with(s, :a)", vals(s("T")), no, nil},
		{"begins_with(n, :a)", vals(s("1")), no, nil},
		{"begins_with(gone, :a)", vals(s("")), no, nil},
		{"contains(n, :a)", vals(s("1")), no, nil},
		{"contains(ss, :a)", vals(n("1")), no, nil},
		{"contains(ss, :a)", vals(s("z")), no, nil},
		{"size(gone) < :a", vals(n("1")), no, nil},
		{"size(n) > :a", vals(n("0")), no, nil},

		{" ", nil, invalid, nil},
		{"s", nil, invalid, nil},
		{"s =", nil, invalid, nil},
		{"= :a", vals(s("x")), invalid, nil},
		{"s = :a s", vals(s("x")), invalid, nil},
		{"s == :a", vals(s("x")), invalid, nil},
		{"s != :a", vals(s("x")), invalid, nil},
		{"s = = :a", vals(s("x")), invalid, nil},
		{"s = 'text'", nil, invalid, nil},
		{"s = text!", nil, invalid, nil},
		{"n = 10", nil, invalid, nil},
		{"(s = :a", vals(s("x")), invalid, nil},
		{"s = :a)", vals(s("x")), invalid, nil},
		{"((s = :a))", vals(s("text")), invalid, nil},
		{"s = :a AND", vals(s("text")), invalid, nil},
		{"NOT", nil, invalid, nil},
		{"s = :a, n = :a", vals(s("text")), invalid, nil},
		{"attribute_exists(s) attribute_exists(n)", nil, invalid, nil},
		{"attribute_exists(l[x])", nil, invalid, nil},
		{"attribute_exists(l[-1])", nil, invalid, nil},
		{"attribute_exists(m.)", nil, invalid, nil},
		{"s = :none", vals(s("text")), invalid, nil},
		{"s = :a", vals(s("text"), s("unused")), invalid, nil},
		{"s = :a", nil, invalid, nil},
		{"#none = :a", vals(s("text")), invalid, nil},
		{"s = :a", vals(s("text")), invalid, map[string]string{"#unused": "s"}},
		{"s = :a", vals(s("text")), invalid, map[string]string{}},
		{"s = :a", vals(s("text")), invalid, map[string]string{"s": "s"}},
		{"attribute_exists(s)", store.Item{}, invalid, nil},
		{"attribute_exists(s)", store.Item{"a": s("x")}, invalid, nil},
		{"status = :a", vals(s("active")), invalid, nil},
		{"attribute_exists(m.data)", nil, invalid, nil},
		{"starts_with(s, :a)", vals(s("te")), invalid, nil},
		{"BEGINS_WITH(s, :a)", vals(s("te")), invalid, nil},
		{"begins_with(s)", nil, invalid, nil},
		{"attribute_exists(s, n)", nil, invalid, nil},
		{"attribute_exists(:a)", vals(s("x")), invalid, nil},
		{"attribute_type(s, :a)", vals(s("STRING")), invalid, nil},
		{"attribute_type(s, n)", nil, invalid, nil},
		{"begins_with(s, :a)", vals(n("1")), invalid, nil},
		{"if_not_exists(s, :a) = :a", vals(s("x")), invalid, nil},
		{"if_not_exists(s, :a)", vals(s("x")), invalid, nil},
		{"contains(size(s), :a) = :a", vals(n("1")), invalid, nil},
		{"s IN ()", nil, invalid, nil},
		{"s IN :a", vals(s("x")), invalid, nil},
		{"n BETWEEN :a :b", vals(n("1"), n("2")), invalid, nil},
		{"n BETWEEN :a AND :b", vals(n("2"), n("1")), invalid, nil},
		{"n BETWEEN :a AND :b", vals(n("1"), s("2")), invalid, nil},
		{"t < :a", vals(store.Bool(true)), invalid, nil},
		{"s = s", nil, invalid, nil},
		{"s = :a", vals(n("ten")), invalid, nil},
		{"s = :a", vals(ss()), invalid, nil},
		{"s = :a", vals(ss("x", "x")), invalid, nil},
		{"s = :a", vals(&types.AttributeValueMemberNULL{}), invalid, nil},
		{long, vals(s("text")), invalid, nil},
	} {
		all = append(all, one{condition(c.expression, c.values, c.names), []store.Item{rich()}, func(q *call) (any, error) {
			_, err := q.PutItem(q, &dynamodb.PutItemInput{TableName: aws.String("pairs"), Item: q.own(rich()), ConditionExpression: &c.expression,
				ExpressionAttributeValues: c.values, ExpressionAttributeNames: c.names})
			return "met", err
		}, c.want})
	}
	return all
}

// condition names a case by all that makes it.
func condition(expression string, values store.Item, names map[string]string) string {
	name := "condition " + strings.TrimSpace(expression)
	if len(expression) > 4096 {
		name += " and 4 KB of spaces"
	}
	if values != nil {
		name += " {" + (&call{}).fields(values) + "}"
	}
	if names != nil {
		name += " " + fmt.Sprint(names)
	}
	return name
}
