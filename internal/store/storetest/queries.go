package storetest

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// asked is a query in short. Its values are named :a and so on, and :pk is the case's partition.
type asked struct {
	index, key, filter, projection string
	values                         []types.AttributeValue
	names                          map[string]string
	backward, consistent           bool
	limit                          int32
	choose                         types.Select
	start                          store.Item // without its partition
}

func (a asked) input(c *call) *dynamodb.QueryInput {
	values := vals(a.values...)
	if strings.Contains(a.key, ":pk") {
		if values == nil {
			values = store.Item{}
		}
		values[":pk"] = s(c.pk)
	}
	in := &dynamodb.QueryInput{TableName: aws.String("pairs"), IndexName: opt(a.index), KeyConditionExpression: opt(a.key), FilterExpression: opt(a.filter),
		ProjectionExpression: opt(a.projection), ExpressionAttributeValues: values, ExpressionAttributeNames: a.names, Select: a.choose}
	if a.backward {
		in.ScanIndexForward = aws.Bool(false)
	}
	if a.consistent {
		in.ConsistentRead = aws.Bool(true)
	}
	if a.limit != 0 {
		in.Limit = &a.limit
	}
	if a.start != nil {
		in.ExclusiveStartKey = c.own(a.start)
	}
	return in
}

// found are the sort keys of the items in order, or the items when they are projected, and the key to go on with.
func (c *call) found(a asked) (any, error) {
	out, err := c.Query(c, a.input(c))
	if err != nil {
		return nil, err
	}
	text := fmt.Sprint(out.Count, "/", out.ScannedCount)
	for _, it := range out.Items {
		if sk, plain := it["sk"].(*types.AttributeValueMemberS); plain && a.projection == "" && a.index != "by-kind" {
			text += " " + sk.Value
			continue
		}
		text += " " + c.show(it)
	}
	if len(out.LastEvaluatedKey) > 0 {
		text += " after " + c.show(out.LastEvaluatedKey)
	}
	return text, nil
}

// queries are Query on the table and its indexes (DynamoDB guide, "Querying tables in DynamoDB").
func queries() []one {
	v := func(all ...types.AttributeValue) []types.AttributeValue { return all }
	const own = "pk = :pk"
	// Five items, of which three have a date (two of them the same), put out of order.
	seed := []store.Item{
		{"sk": s("b2"), "v": n("2"), "date": s("2026-01-02")}, {"sk": s("a1"), "v": n("1"), "date": s("2026-01-03")},
		{"sk": s("c3"), "v": n("3")}, {"sk": s("b10"), "v": n("10"), "date": s("2026-01-02")}, {"sk": s("B1"), "v": n("0"), "status": s("x")}}
	var all []one
	for _, q := range []struct {
		name string
		ask  asked
		want string
	}{
		{"all, in the order of bytes", asked{key: own}, "5/5 B1 a1 b10 b2 c3"},
		{"backward", asked{key: own, backward: true}, "5/5 c3 b2 b10 a1 B1"},
		{"of a name by placeholder", asked{key: "#p = :pk", names: map[string]string{"#p": "pk"}}, "5/5 B1 a1 b10 b2 c3"},
		{"of an empty partition", asked{key: "pk = :a", values: v(s("nobody"))}, "0/0"},
		{"of one key", asked{key: own + " AND sk = :a", values: v(s("a1"))}, "1/1 a1"},
		{"with the sort key first", asked{key: "sk = :a AND " + own, values: v(s("a1"))}, "1/1 a1"},
		{"with parentheses", asked{key: "(" + own + ") AND (sk = :a)", values: v(s("a1"))}, "1/1 a1"},
		{"less", asked{key: own + " AND sk < :a", values: v(s("b10"))}, "2/2 B1 a1"},
		{"less or equal", asked{key: own + " AND sk <= :a", values: v(s("b10"))}, "3/3 B1 a1 b10"},
		{"greater", asked{key: own + " AND sk > :a", values: v(s("b10"))}, "2/2 b2 c3"},
		{"greater or equal", asked{key: own + " AND sk >= :a", values: v(s("b10"))}, "3/3 b10 b2 c3"},
		{"between, both included", asked{key: own + " AND sk BETWEEN :a AND :b", values: v(s("a1"), s("b2"))}, "3/3 a1 b10 b2"},
		{"of a beginning", asked{key: own + " AND begins_with(sk, :a)", values: v(s("b"))}, "2/2 b10 b2"},
		{"filtered", asked{key: own, filter: "v > :a", values: v(n("2"))}, "2/5 b10 c3"},
		{"filtered by a reserved name", asked{key: own, filter: "attribute_exists(#s)", names: map[string]string{"#s": "status"}}, "1/5 B1"},
		{"projected", asked{key: own, projection: "v"}, `5/5 {v:0} {v:1} {v:10} {v:2} {v:3}`},
		{"counted", asked{key: own, choose: types.SelectCount, filter: "v > :a", values: v(n("2"))}, "2/5"},
		{"consistent", asked{key: own, consistent: true}, "5/5 B1 a1 b10 b2 c3"},
		{"limited", asked{key: own, limit: 2}, `2/2 B1 a1 after {pk sk:"a1"}`},
		{"limited backward", asked{key: own, limit: 2, backward: true}, `2/2 c3 b2 after {pk sk:"b2"}`},
		{"limited before the filter", asked{key: own, limit: 2, filter: "v > :a", values: v(n("5"))}, `0/2 after {pk sk:"a1"}`},
		{"limited to all there is", asked{key: own, limit: 5}, `5/5 B1 a1 b10 b2 c3 after {pk sk:"c3"}`},
		{"limited to more than there is", asked{key: own, limit: 6}, `5/5 B1 a1 b10 b2 c3`},
		{"limited and projected, where the key is whole", asked{key: own, limit: 1, projection: "v"}, `1/1 {v:0} after {pk sk:"B1"}`},
		{"gone on", asked{key: own, limit: 2, start: store.Item{"sk": s("a1")}}, `2/2 b10 b2 after {pk sk:"b2"}`},
		{"gone on backward", asked{key: own, limit: 2, start: store.Item{"sk": s("b2")}, backward: true}, `2/2 b10 a1 after {pk sk:"a1"}`},
		{"gone on from a key that is no more", asked{key: own, start: store.Item{"sk": s("b11")}}, `2/2 b2 c3`},
		{"gone on from the end", asked{key: own, start: store.Item{"sk": s("c3")}}, `0/0`},

		{"of an index: only what has its key, by it", asked{index: "by-date", key: own}, "3/3 b10 b2 a1"},
		{"of an index backward", asked{index: "by-date", key: own, backward: true}, "3/3 a1 b2 b10"},
		{"of an index by its sort key", asked{index: "by-date", key: own + " AND begins_with(#d, :a)", values: v(s("2026-01-02")), names: map[string]string{"#d": "date"}}, "2/2 b10 b2"},
		{"of an index, limited within equal keys", asked{index: "by-date", key: own, limit: 1}, `1/1 b10 after {date:"2026-01-02" pk sk:"b10"}`},
		{"of an index, gone on within equal keys", asked{index: "by-date", key: own, limit: 1, start: store.Item{"sk": s("b10"), "date": s("2026-01-02")}},
			`1/1 b2 after {date:"2026-01-02" pk sk:"b2"}`},
		{"of an index, filtered by the table's sort key", asked{index: "by-date", key: own, filter: "sk = :a", values: v(s("b2"))}, "1/3 b2"},

		{"without a key condition", asked{}, invalid},
		{"without the hash key", asked{key: "sk = :a", values: v(s("a1"))}, invalid},
		{"of a range of hash keys", asked{key: "pk > :a", values: v(s("a"))}, invalid},
		{"of beginnings of hash keys", asked{key: "begins_with(pk, :a)", values: v(s("a"))}, invalid},
		{"of two hash keys", asked{key: own + " AND pk = :a", values: v(s("a"))}, invalid},
		{"of two conditions on the sort key", asked{key: own + " AND sk > :a AND sk < :b", values: v(s("a"), s("c"))}, invalid},
		{"of another attribute", asked{key: own + " AND v = :a", values: v(n("1"))}, invalid},
		{"by OR", asked{key: own + " OR sk = :a", values: v(s("a"))}, invalid},
		{"by NOT", asked{key: "NOT " + own}, invalid},
		{"by inequality", asked{key: own + " AND sk <> :a", values: v(s("a"))}, invalid},
		{"by IN", asked{key: own + " AND sk IN (:a)", values: v(s("a"))}, invalid},
		{"by contains", asked{key: own + " AND contains(sk, :a)", values: v(s("a"))}, invalid},
		{"by size", asked{key: own + " AND size(sk) = :a", values: v(n("1"))}, invalid},
		{"by an attribute instead of a value", asked{key: own + " AND sk = v"}, invalid},
		{"of a hash key of another type", asked{key: "pk = :a", values: v(n("1"))}, invalid},
		{"of a sort key of another type", asked{key: own + " AND sk = :a", values: v(n("1"))}, invalid},
		{"of an empty hash key", asked{key: "pk = :a", values: v(s(""))}, invalid},
		{"filtered by a key attribute", asked{key: own, filter: "sk = :a", values: v(s("a1"))}, invalid},
		{"with a broken filter", asked{key: own, filter: "v >"}, invalid},
		{"with a value that is not used", asked{key: own, values: v(s("a1"))}, invalid},
		{"with a reserved name", asked{key: own, filter: "status = :a", values: v(s("x"))}, invalid},
		{"limited to less than nothing", asked{key: own, limit: -1}, invalid},
		{"of an index that is not there", asked{index: "none", key: own}, invalid},
		{"of an index by the table's sort key", asked{index: "by-date", key: own + " AND sk = :a", values: v(s("a1"))}, invalid},
		{"of an index, consistent", asked{index: "by-date", key: own, consistent: true}, invalid},
		{"of an index filtered by its key", asked{index: "by-date", key: own, filter: "#d = :a", values: v(s("a1")), names: map[string]string{"#d": "date"}}, invalid},
		{"gone on without the sort key", asked{key: own, start: store.Item{}}, invalid},
		{"gone on with a key of another type", asked{key: own, start: store.Item{"sk": n("1")}}, invalid},
		{"gone on with more than a key", asked{key: own, start: store.Item{"sk": s("a1"), "v": n("1")}}, invalid},
		{"gone on in another partition", asked{key: own, start: store.Item{"pk": s("other"), "sk": s("a1")}}, invalid},
		{"gone on outside the range", asked{key: own + " AND sk > :a", values: v(s("b")), start: store.Item{"sk": s("a1")}}, invalid},
		{"of an index, gone on without its key", asked{index: "by-date", key: own, start: store.Item{"sk": s("b10")}}, invalid},
		{"all that is projected, of the table", asked{key: own, choose: types.SelectAllProjectedAttributes}, invalid},
		{"some attributes without saying which", asked{key: own, choose: types.SelectSpecificAttributes}, invalid},
		{"a count of some attributes", asked{key: own, choose: types.SelectCount, projection: "v"}, invalid},
		{"an unknown choice", asked{key: own, choose: "SOME"}, invalid},
	} {
		all = append(all, one{"query " + q.name, seed, func(c *call) (any, error) { return c.found(q.ask) }, q.want})
	}
	return append(all, ranked()...)
}

// ranked are queries of indexes that hold part of an item, over partitions of the table, and of a sort key of numbers.
func ranked() []one {
	v := func(all ...types.AttributeValue) []types.AttributeValue { return all }
	kind := func(c *call) []types.AttributeValue { return v(s(c.pk)) }
	seed := []store.Item{}
	for i, rank := range []string{"2", "10", "-1"} {
		seed = append(seed, store.Item{"pk": s(fmt.Sprint("partition ", i)), "sk": s(fmt.Sprint("x", rank)), "rank": n(rank), "v": n(rank), "w": n("0")})
	}
	var all []one
	for _, q := range []struct {
		name string
		ask  asked
		want string
	}{
		{"over partitions, numbers in their order", asked{index: "by-rank"}, `3/3 x-1 x2 x10`},
		{"of what an index includes", asked{index: "by-rank", projection: "v"}, `3/3 {v:-1} {v:2} {v:10}`},
		{"of an index with the key of the table", asked{index: "by-rank", limit: 1}, `1/1 x-1 after {kind:KIND pk:"partition 2" rank:-1 sk:"x-1"}`},
		{"of keys only", asked{index: "by-kind", limit: 3, choose: types.SelectCount}, `3/3 after {kind:KIND pk:"partition 2" sk:"x-1"}`},
		{"of all attributes of an index without them", asked{index: "by-rank", choose: types.SelectAllAttributes}, invalid},
		{"of an attribute that the index has not", asked{index: "by-rank", projection: "w"}, invalid},
		{"filtered by an attribute that the index has not", asked{index: "by-kind", filter: "attribute_exists(v)"}, invalid},
	} {
		all = append(all, one{"query " + q.name, nil, func(c *call) (any, error) {
			for _, it := range seed {
				it["kind"] = s(c.pk)
				if _, err := c.put(it, "", nil); err != nil {
					return nil, err
				}
			}
			ask := q.ask
			ask.key, ask.values = "kind = :a", kind(c)
			found, err := c.found(ask)
			if text, ok := found.(string); ok {
				return strings.ReplaceAll(text, fmt.Sprintf("%q", c.pk), "KIND"), err
			}
			return found, err
		}, q.want})
	}
	return append(all, one{"query by numbers", nil, func(c *call) (any, error) {
		for _, number := range []string{"10", "9", "-1", "0.5"} {
			if _, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: aws.String("numbers"), Item: c.own(store.Item{"n": n(number)})}); err != nil {
				return nil, err
			}
		}
		out, err := c.Query(c, &dynamodb.QueryInput{TableName: aws.String("numbers"), KeyConditionExpression: aws.String("pk = :pk AND n < :a"), ExpressionAttributeValues: store.Item{":pk": s(c.pk), ":a": n("10")}})
		if err != nil {
			return nil, err
		}
		return out.Items, nil
	}, "{n:-1 pk} {n:0.5 pk} {n:9 pk}"}, pages())
}

// pages reads a partition page by page, of a size that a page cannot hold whole.
func pages() one {
	return one{"query in pages of 1 MB", nil, func(c *call) (any, error) {
		for i := range 7 {
			if _, err := c.put(store.Item{"sk": s(fmt.Sprint(i)), "v": s(strings.Repeat("x", 350<<10))}, "", nil); err != nil {
				return nil, err
			}
		}
		in, text := asked{key: "pk = :pk"}.input(c), ""
		for {
			out, err := c.Query(c, in)
			if err != nil {
				return nil, err
			}
			text += fmt.Sprint(" ", len(out.Items))
			if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
				return strings.TrimSpace(text), nil
			}
		}
	}, "2 2 2 1"}
}
