package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// singles are reads and writes of one item: keys, projections, answers, refusals by conditions.
func singles() []one {
	return append(append(keys(), projections()...), answers()...)
}

// keys are what each call makes of a wrong key or item.
func keys() []one {
	calls := map[string]func(*call, string, store.Item) error{
		"get": func(c *call, table string, key store.Item) error {
			_, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: &table, Key: key})
			return err
		},
		"put": func(c *call, table string, key store.Item) error {
			_, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: &table, Item: key})
			return err
		},
		"update": func(c *call, table string, key store.Item) error {
			_, err := c.UpdateItem(c, &dynamodb.UpdateItemInput{TableName: &table, Key: key})
			return err
		},
		"delete": func(c *call, table string, key store.Item) error {
			_, err := c.DeleteItem(c, &dynamodb.DeleteItemInput{TableName: &table, Key: key})
			return err
		},
	}
	var all []one
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		do := calls[name]
		for _, k := range []struct {
			what  string
			table string
			key   store.Item
			want  string
		}{
			{"no such table", "none", store.Item{"pk": s("p")}, "ResourceNotFoundException"},
			{"no key", "pairs", store.Item{}, invalid},
			{"no sort key", "pairs", store.Item{"pk": s("p")}, invalid},
			{"no hash key", "pairs", store.Item{"sk": s("1")}, invalid},
			{"a key of another type", "pairs", store.Item{"pk": s("p"), "sk": n("1")}, invalid},
			{"a number as words", "numbers", store.Item{"pk": s("p"), "n": s("1")}, invalid},
			{"a null key", "pairs", store.Item{"pk": s("p"), "sk": null}, invalid},
			{"an empty hash key", "pairs", store.Item{"pk": s(""), "sk": s("1")}, invalid},
			{"an empty sort key", "pairs", store.Item{"pk": s("p"), "sk": s("")}, invalid},
			{"an empty binary key", "bytes", store.Item{"pk": b()}, invalid},
			{"a hash key over 2048 bytes", "pairs", store.Item{"pk": s(strings.Repeat("x", 2049)), "sk": s("1")}, invalid},
			{"a sort key over 1024 bytes", "pairs", store.Item{"pk": s("p"), "sk": s(strings.Repeat("x", 1025))}, invalid},
			{"keys as large as may be", "pairs", store.Item{"pk": s(strings.Repeat("x", 2048)), "sk": s(strings.Repeat("x", 1024))}, "nothing"},
		} {
			all = append(all, one{name + " with " + k.what, nil, func(c *call) (any, error) { return nil, do(c, k.table, k.key) }, k.want})
		}
		if name != "put" {
			all = append(all, one{name + " with more than the key", nil, func(c *call) (any, error) {
				return nil, do(c, "pairs", store.Item{"pk": s("p"), "sk": s("1"), "v": s("x")})
			}, invalid})
		}
	}
	return append(all, items()...)
}

// items are what may be put.
func items() []one {
	var all []one
	for _, p := range []struct {
		what string
		item store.Item
		want string
	}{
		{"an item of every type", store.Item{"bs": &types.AttributeValueMemberBS{Value: [][]byte{{2}, {1}}}, "e": s(""), "f": store.Bool(false)}, `{bs:<01 02> e:"" f:false pk sk:"1"}`},
		{"an item as large as may be", store.Item{"v": s(strings.Repeat("x", 300<<10))}, "as put"},
		{"an item over 400 KB", store.Item{"v": s(strings.Repeat("x", 400<<10))}, invalid},
		{"an index key of another type", store.Item{"date": n("1")}, invalid},
		{"an index key of another type in another index", store.Item{"kind": s("k"), "rank": s("1")}, invalid},
		{"an empty index key", store.Item{"date": s("")}, invalid},
		{"an empty set", store.Item{"v": ss()}, invalid},
		{"a set with a value twice", store.Item{"v": ss("a", "a")}, invalid},
		{"a set with a number twice", store.Item{"v": ns("1", "1.0")}, invalid},
		{"a set of no numbers", store.Item{"v": ns("a")}, invalid},
		{"no number", store.Item{"v": n("1x")}, invalid},
		{"a null that is false", store.Item{"v": &types.AttributeValueMemberNULL{}}, invalid},
		{"a value nested too deep", store.Item{"v": nested(33)}, invalid},
		{"a value nested as deep as may be", store.Item{"v": nested(30)}, "as put"},
	} {
		all = append(all, one{"put " + p.what, nil, func(c *call) (any, error) {
			p.item["sk"] = s("1")
			if _, err := c.put(p.item, "", nil); err != nil {
				return nil, err
			}
			got, err := c.get("1")
			if err == nil && p.want == "as put" && c.show(got) == c.show(c.own(p.item)) {
				return p.want, nil
			}
			return got, err
		}, p.want})
	}
	return all
}

func projections() []one {
	seed := []store.Item{{"sk": s("1"), "v": n("1"), "m": m(store.Item{"a": n("1"), "b": n("2")}), "l": l(n("1"), m(store.Item{"x": n("2"), "y": n("3")}), n("4"))}}
	var all []one
	for _, p := range []struct {
		expression string
		names      map[string]string
		want       string
	}{
		{"v", nil, "{v:1}"},
		{"pk, v", nil, "{pk v:1}"},
		{"m.a, sk", nil, `{m:{a:1} sk:"1"}`},
		{"m.a, m.b", nil, "{m:{a:1 b:2}}"},
		{"l[2], l[0]", nil, "{l:[1 4]}"},
		{"l[1].x", nil, "{l:[{x:2}]}"},
		{"#v, gone", map[string]string{"#v": "v"}, "{v:1}"},
		{"gone", nil, "{}"},
		{"m.gone, v", nil, "{v:1}"},
		{"", nil, invalid},
		{"v,", nil, invalid},
		{"v w", nil, invalid},
		{"v, v", nil, invalid},
		{"m, m.a", nil, invalid},
		{"status", nil, invalid},
		{"#none", nil, invalid},
		{"v", map[string]string{"#unused": "v"}, invalid},
		{":v", nil, invalid},
		{"size(v)", nil, invalid},
	} {
		all = append(all, one{"projection of " + p.expression + " " + fmt.Sprint(p.names), seed, func(c *call) (any, error) {
			out, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("1")}),
				ProjectionExpression: &p.expression, ExpressionAttributeNames: p.names})
			if err != nil {
				return nil, err
			}
			return out.Item, nil
		}, p.want})
	}
	return append(all,
		one{"names without an expression", seed, func(c *call) (any, error) {
			_, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("1")}), ExpressionAttributeNames: map[string]string{"#v": "v"}})
			return nil, err
		}, invalid},
		one{"get of nothing", nil, func(c *call) (any, error) { return c.get("1") }, "nothing"},
		one{"get by an equal number", nil, func(c *call) (any, error) {
			if _, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: aws.String("numbers"), Item: c.own(store.Item{"n": n("1.50")})}); err != nil {
				return nil, err
			}
			return c.getIn("numbers", store.Item{"n": n("15E-1")})
		}, "{n:1.5 pk}"},
		one{"get by bytes", nil, func(c *call) (any, error) {
			if _, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: aws.String("bytes"), Item: store.Item{"pk": b(0, 255), "v": n("1")}}); err != nil {
				return nil, err
			}
			return c.getIn("bytes", store.Item{"pk": b(0, 255)})
		}, "{pk:00ff v:1}"},
	)
}

// answers are what puts and deletes answer with, and the item that a refusal carries.
func answers() []one {
	there := []store.Item{{"sk": s("1"), "v": n("1")}}
	put := func(c *call, condition string, which types.ReturnValue, failed types.ReturnValuesOnConditionCheckFailure) (any, error) {
		out, err := c.PutItem(c, &dynamodb.PutItemInput{TableName: aws.String("pairs"), Item: c.own(store.Item{"sk": s("1"), "w": n("2")}),
			ConditionExpression: opt(condition), ReturnValues: which, ReturnValuesOnConditionCheckFailure: failed})
		if err != nil {
			return nil, err
		}
		return none(out.Attributes), nil
	}
	del := func(c *call, condition string, which types.ReturnValue, failed types.ReturnValuesOnConditionCheckFailure) (any, error) {
		out, err := c.DeleteItem(c, &dynamodb.DeleteItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("1")}),
			ConditionExpression: opt(condition), ReturnValues: which, ReturnValuesOnConditionCheckFailure: failed})
		if err != nil {
			return nil, err
		}
		return none(out.Attributes), nil
	}
	update := func(c *call, condition string, which types.ReturnValue, failed types.ReturnValuesOnConditionCheckFailure) (any, error) {
		out, err := c.UpdateItem(c, &dynamodb.UpdateItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("1")}), UpdateExpression: aws.String("REMOVE v"),
			ConditionExpression: opt(condition), ReturnValues: which, ReturnValuesOnConditionCheckFailure: failed})
		if err != nil {
			return nil, err
		}
		return none(out.Attributes), nil
	}
	const old = `{pk sk:"1" v:1}`
	var all []one
	for _, a := range []struct {
		name      string
		seed      []store.Item
		do        func(*call, string, types.ReturnValue, types.ReturnValuesOnConditionCheckFailure) (any, error)
		condition string
		which     types.ReturnValue
		failed    types.ReturnValuesOnConditionCheckFailure
		want      string
		then      string
	}{
		{"put returns nothing", there, put, "", "", "", "nothing", `{pk sk:"1" w:2}`},
		{"put returns the old item", there, put, "", types.ReturnValueAllOld, "", old, `{pk sk:"1" w:2}`},
		{"put of a new item returns nothing", nil, put, "", types.ReturnValueAllOld, "", "nothing", `{pk sk:"1" w:2}`},
		{"put cannot return the new item", there, put, "", types.ReturnValueAllNew, "", invalid, old},
		{"put cannot return what it updated", there, put, "", types.ReturnValueUpdatedNew, "", invalid, old},
		{"put only if new", nil, put, "attribute_not_exists(pk)", "", "", "nothing", `{pk sk:"1" w:2}`},
		{"put refused", there, put, "attribute_not_exists(pk)", "", "", "ConditionalCheckFailedException nothing", old},
		{"put refused with the old item", there, put, "attribute_not_exists(pk)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException " + old, old},
		{"put refused by nothing", nil, put, "attribute_exists(pk)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException nothing", "nothing"},
		{"put refused without the old item", there, put, "attribute_exists(w)", "", types.ReturnValuesOnConditionCheckFailureNone, "ConditionalCheckFailedException nothing", old},
		{"put with an unknown wish", there, put, "attribute_exists(w)", "", "SOME", invalid, old},
		{"delete returns nothing", there, del, "", "", "", "nothing", "nothing"},
		{"delete returns the old item", there, del, "", types.ReturnValueAllOld, "", old, "nothing"},
		{"delete of nothing", nil, del, "", types.ReturnValueAllOld, "", "nothing", "nothing"},
		{"delete cannot return the new item", there, del, "", types.ReturnValueAllNew, "", invalid, old},
		{"delete refused", there, del, "v > pk", "", "", "ConditionalCheckFailedException nothing", old},
		{"delete refused with the old item", there, del, "attribute_exists(w)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException " + old, old},
		{"delete refused by nothing", nil, del, "attribute_exists(pk)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException nothing", "nothing"},
		{"update refused", there, update, "attribute_exists(w)", types.ReturnValueAllNew, "", "ConditionalCheckFailedException nothing", old},
		{"update refused with the old item", there, update, "attribute_exists(w)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException " + old, old},
		{"update refused by nothing", nil, update, "attribute_exists(pk)", "", types.ReturnValuesOnConditionCheckFailureAllOld, "ConditionalCheckFailedException nothing", "nothing"},
	} {
		all = append(all, one{a.name, a.seed, func(c *call) (any, error) {
			answer := c.outcome(a.do(c, a.condition, a.which, a.failed))
			return answer + " then " + c.outcome(c.get("1")), nil
		}, a.want + " then " + a.then})
	}
	return all
}
