package storetest

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// updates are the language of updates (DynamoDB guide, "Update expressions"), and the numbers that it reckons with.
func updates() []one {
	digits := strings.Repeat("1234567890", 4)[:38]
	var all []one
	for _, u := range []struct {
		name       string
		old        store.Item // nil: there is no item
		expression string
		values     store.Item
		want       string // of the item then, without its key
	}{
		{"set makes an item", nil, "SET v = :a", vals(s("x")), `{v:"x"}`},
		{"without an expression an item is made of its key", nil, "", nil, `{}`},
		{"set replaces a value and its type", store.Item{"v": n("1")}, "SET v = :a", vals(l(s("x"))), `{v:["x"]}`},
		{"set leaves the rest", store.Item{"v": n("1"), "w": n("2")}, "SET v = :a", vals(n("3")), `{v:3 w:2}`},
		{"set copies", store.Item{"v": ss("a")}, "SET w = v", nil, `{v:<a> w:<a>}`},
		{"set swaps", store.Item{"v": n("1"), "w": n("2")}, "SET v = w, w = v", nil, `{v:2 w:1}`},
		{"set adds", store.Item{"v": n("1")}, "SET v = v + :a", vals(n("0.1")), `{v:1.1}`},
		{"set subtracts", store.Item{"v": n("1")}, "SET v = :a - v", vals(n("0.1")), `{v:-0.9}`},
		{"set counts from a start", nil, "SET v = if_not_exists(v, :a) + :b", vals(n("10"), n("1")), `{v:11}`},
		{"set keeps what is there", store.Item{"v": n("5")}, "SET v = if_not_exists(v, :a)", vals(n("10")), `{v:5}`},
		{"set takes another attribute instead", store.Item{"w": n("5")}, "SET v = if_not_exists(v, w)", nil, `{v:5 w:5}`},
		{"set appends", store.Item{"v": l(s("a"))}, "SET v = list_append(v, :a)", vals(l(s("b"))), `{v:["a" "b"]}`},
		{"set prepends", store.Item{"v": l(s("a"))}, "SET v = list_append(:a, v)", vals(l(s("b"))), `{v:["b" "a"]}`},
		{"set appends to a new list", nil, "SET v = list_append(if_not_exists(v, :a), :b)", vals(l(), l(s("b"))), `{v:["b"]}`},
		{"set in a map", store.Item{"v": m(store.Item{"a": n("1")})}, "SET v.b = :a, v.a = :b", vals(n("2"), n("3")), `{v:{a:3 b:2}}`},
		{"set in a list", store.Item{"v": l(n("1"), n("2"))}, "SET v[1] = :a", vals(n("3")), `{v:[1 3]}`},
		{"set behind a list's end", store.Item{"v": l(n("1"))}, "SET v[9] = :a", vals(n("3")), `{v:[1 3]}`},
		{"set deep", store.Item{"v": l(m(store.Item{"a": l(n("1"))}))}, "SET v[0].a[0] = :a", vals(n("3")), `{v:[{a:[3]}]}`},
		{"remove", store.Item{"v": n("1"), "w": n("2")}, "REMOVE v", nil, `{w:2}`},
		{"remove what is not there", store.Item{"v": n("1")}, "REMOVE w", nil, `{v:1}`},
		{"remove from a map", store.Item{"v": m(store.Item{"a": n("1"), "b": n("2")})}, "REMOVE v.a", nil, `{v:{b:2}}`},
		{"remove from a list by where it was", store.Item{"v": l(n("0"), n("1"), n("2"), n("3"))}, "REMOVE v[0], v[2]", nil, `{v:[1 3]}`},
		{"remove behind a list's end", store.Item{"v": l(n("0"))}, "REMOVE v[5]", nil, `{v:[0]}`},
		{"set sees the item before remove", store.Item{"v": n("1")}, "REMOVE v SET w = v", nil, `{w:1}`},
		{"add makes a number", nil, "ADD v :a", vals(n("5")), `{v:5}`},
		{"add to a number", store.Item{"v": n("5")}, "ADD v :a", vals(n("-7")), `{v:-2}`},
		{"add makes a set", store.Item{}, "ADD v :a", vals(ss("x")), `{v:<x>}`},
		{"add to a set", store.Item{"v": ss("x", "y")}, "ADD v :a", vals(ss("y", "z")), `{v:<x y z>}`},
		{"add to a set of numbers", store.Item{"v": ns("1", "2")}, "ADD v :a", vals(ns("2.0", "3")), `{v:<1 2 3>}`},
		{"add in a map", store.Item{"v": m(store.Item{"a": n("1")})}, "ADD v.a :a", vals(n("1")), `{v:{a:2}}`},
		{"delete from a set", store.Item{"v": ss("x", "y")}, "DELETE v :a", vals(ss("y", "z")), `{v:<x>}`},
		{"delete the last of a set", store.Item{"v": ss("x")}, "DELETE v :a", vals(ss("x")), `{}`},
		{"delete from nothing", store.Item{}, "DELETE v :a", vals(ss("x")), `{}`},
		{"all sections, in any case and order", store.Item{"v": n("1"), "w": n("1"), "x": ss("a", "b")}, "delete x :a add v :b remove w set y = :b",
			vals(ss("a"), n("1")), `{v:2 x:<b> y:1}`},
		{"38 digits", store.Item{"v": n(digits)}, "ADD v :a", vals(n("0")), "{v:" + digits + "}"},
		{"decimals are exact", store.Item{"v": n("0.1")}, "ADD v :a", vals(n("0.2")), `{v:0.3}`},
		{"numbers have one form", store.Item{}, "SET v = :a", vals(l(n("1.50"), n("007"), n("1E3"), n("-0.0"), n("+2"), n("1.5E-3"))), `{v:[1.5 7 1000 0 2 0.0015]}`},
		{"the largest number", store.Item{}, "SET v = :a", vals(n("9.9E+125")), "{v:99" + strings.Repeat("0", 124) + "}"},
		{"an empty string, list and map are values", store.Item{}, "SET v = :a", vals(l(s(""), l(), m(store.Item{}))), `{v:["" [] {}]}`},
		{"an index key may be taken away", store.Item{"date": s("d")}, "REMOVE #date", nil, `{}`},

		{"refuses no expression", store.Item{}, " ", nil, invalid},
		{"refuses a key attribute", store.Item{}, "SET sk = :a", vals(s("x")), invalid},
		{"refuses to remove a key attribute", store.Item{}, "REMOVE sk", nil, invalid},
		{"refuses an unknown section", store.Item{}, "PUT v = :a", vals(s("x")), invalid},
		{"refuses a section twice", store.Item{}, "SET v = :a SET w = :a", vals(s("x")), invalid},
		{"refuses a section without actions", store.Item{}, "SET", nil, invalid},
		{"refuses a comma without an action", store.Item{}, "SET v = :a,", vals(s("x")), invalid},
		{"refuses a missing comma", store.Item{}, "SET v = :a w = :a", vals(s("x")), invalid},
		{"refuses a missing equals sign", store.Item{}, "SET v :a", vals(s("x")), invalid},
		{"refuses an equals sign in add", store.Item{}, "ADD v = :a", vals(n("1")), invalid},
		{"refuses add from an attribute", store.Item{"w": n("1")}, "ADD v w", nil, invalid},
		{"refuses a sum of three", store.Item{"v": n("1")}, "SET v = v + :a + :a", vals(n("1")), invalid},
		{"refuses an attribute twice", store.Item{}, "SET v = :a, v = :a", vals(s("x")), invalid},
		{"refuses an attribute twice over sections", store.Item{"v": n("1")}, "SET v = :a REMOVE v", vals(s("x")), invalid},
		{"refuses overlapping paths", store.Item{"v": m(store.Item{})}, "SET v = :a, v.b = :a", vals(s("x")), invalid},
		{"refuses conflicting paths", store.Item{"v": m(store.Item{})}, "SET v.a = :a, v[0] = :a", vals(s("x")), invalid},
		{"refuses a missing operand", store.Item{}, "SET v = w", nil, invalid},
		{"refuses a sum with a missing attribute", store.Item{}, "SET v = v + :a", vals(n("1")), invalid},
		{"refuses a sum with a string", store.Item{"v": s("1")}, "SET v = v + :a", vals(n("1")), invalid},
		{"refuses a sum of strings", store.Item{"v": n("1")}, "SET v = v + :a", vals(s("1")), invalid},
		{"refuses to append to a string", store.Item{"v": s("1")}, "SET v = list_append(v, :a)", vals(l()), invalid},
		{"refuses to append a string", store.Item{"v": l()}, "SET v = list_append(v, :a)", vals(s("1")), invalid},
		{"refuses an unknown function", store.Item{"v": l()}, "SET v = upper(v)", nil, invalid},
		{"refuses a function of conditions", store.Item{"v": l()}, "SET v = size(v)", nil, invalid},
		{"refuses if_not_exists without an alternative", store.Item{"v": l()}, "SET v = if_not_exists(v)", nil, invalid},
		{"refuses to add a string", store.Item{}, "ADD v :a", vals(s("x")), invalid},
		{"refuses to add to a string", store.Item{"v": s("x")}, "ADD v :a", vals(n("1")), invalid},
		{"refuses to add to a set of another type", store.Item{"v": ns("1")}, "ADD v :a", vals(ss("1")), invalid},
		{"refuses to delete a number", store.Item{"v": n("1")}, "DELETE v :a", vals(n("1")), invalid},
		{"refuses to delete from a string", store.Item{"v": s("x")}, "DELETE v :a", vals(ss("x")), invalid},
		{"refuses a path through nothing", store.Item{}, "SET v.a = :a", vals(s("x")), invalid},
		{"refuses a path through a string", store.Item{"v": s("x")}, "SET v.a = :a", vals(s("x")), invalid},
		{"refuses an index into a map", store.Item{"v": m(store.Item{})}, "SET v[0] = :a", vals(s("x")), invalid},
		{"refuses a name into a list", store.Item{"v": l()}, "SET v.a = :a", vals(s("x")), invalid},
		{"refuses to remove through nothing", store.Item{}, "REMOVE v.a", nil, invalid},
		{"refuses a reserved word", store.Item{}, "SET status = :a", vals(s("x")), invalid},
		{"refuses a value that is not defined", store.Item{}, "SET v = :b", vals(s("x")), invalid},
		{"refuses a value that is not used", store.Item{}, "REMOVE v", vals(s("x")), invalid},
		{"refuses values without an expression", store.Item{}, "", vals(s("x")), invalid},
		{"refuses 39 digits", store.Item{"v": n(digits)}, "SET w = :a", vals(n(digits + "1")), invalid},
		{"refuses a sum of 39 digits", store.Item{"v": n(digits)}, "ADD v :a", vals(n("0.1")), invalid},
		{"refuses a number too large", store.Item{}, "SET v = :a", vals(n("1E126")), invalid},
		{"refuses a sum too large", store.Item{"v": n("9E125")}, "ADD v :a", vals(n("9E125")), invalid},
		{"refuses a number too small", store.Item{}, "SET v = :a", vals(n("1E-131")), invalid},
		{"refuses an empty number", store.Item{}, "SET v = :a", vals(n("")), invalid},
		{"refuses a number in words", store.Item{}, "SET v = :a", vals(l(n("NaN"))), invalid},
		{"refuses an index key of another type", store.Item{"date": s("d")}, "SET #date = :a", vals(n("1")), invalid},
		{"refuses an empty index key", store.Item{"date": s("d")}, "SET #date = :a", vals(s("")), invalid},
		{"refuses an item that grows too large", store.Item{"v": s(strings.Repeat("x", 300<<10))}, "SET w = :a", vals(s(strings.Repeat("x", 101<<10))), invalid},
		{"refuses a value nested too deep", store.Item{}, "SET v = :a", vals(nested(33)), invalid},
	} {
		all = append(all, one{"update " + u.name, seedOf(u.old), func(q *call) (any, error) { return q.update(u.expression, u.values) }, u.want})
	}
	return append(all, returns()...)
}

func seedOf(old store.Item) []store.Item {
	if old == nil {
		return nil
	}
	seed := store.Item{"sk": s("1")}
	for name, v := range old {
		seed[name] = v
	}
	return []store.Item{seed}
}

// nested is a list of lists of that depth.
func nested(depth int) types.AttributeValue {
	v := l()
	for range depth {
		v = l(v)
	}
	return v
}

// update gives the item that it makes, without its key. After a refusal it gives the item if that has changed.
func (c *call) update(expression string, values store.Item) (any, error) {
	before, err := c.get("1")
	if err != nil {
		return nil, err
	}
	in := &dynamodb.UpdateItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("1")}), UpdateExpression: opt(expression), ExpressionAttributeValues: values}
	if strings.Contains(expression, "#date") {
		in.ExpressionAttributeNames = map[string]string{"#date": "date"}
	}
	_, refused := c.UpdateItem(c, in)
	after, err := c.get("1")
	if err != nil {
		return nil, err
	}
	if refused != nil {
		if was, is := c.show(before), c.show(after); was != is {
			return "refused, but " + was + " is now " + is, nil
		}
		return nil, refused
	}
	item := after.(store.Item)
	delete(item, "pk")
	delete(item, "sk")
	return item, nil
}

// returns are what updates answer with (API reference, UpdateItem, ReturnValues).
func returns() []one {
	old := []store.Item{{"sk": s("1"), "v": n("1"), "m": m(store.Item{"a": n("1"), "b": n("2")}), "l": l(n("1"), n("2"), n("3"))}}
	var all []one
	for _, u := range []struct {
		seed       []store.Item
		which      types.ReturnValue
		expression string
		values     store.Item
		want       string
	}{
		{old, "", "SET v = :a", vals(n("2")), "nothing"},
		{old, types.ReturnValueNone, "SET v = :a", vals(n("2")), "nothing"},
		{old, types.ReturnValueAllOld, "SET v = :a", vals(n("2")), `{l:[1 2 3] m:{a:1 b:2} pk sk:"1" v:1}`},
		{old, types.ReturnValueAllNew, "SET v = :a", vals(n("2")), `{l:[1 2 3] m:{a:1 b:2} pk sk:"1" v:2}`},
		{old, types.ReturnValueUpdatedOld, "SET v = :a", vals(n("2")), `{v:1}`},
		{old, types.ReturnValueUpdatedNew, "SET v = :a", vals(n("2")), `{v:2}`},
		{old, types.ReturnValueUpdatedNew, "SET v = :a", vals(n("1")), `{v:1}`},
		{old, types.ReturnValueUpdatedOld, "SET w = :a", vals(n("2")), "nothing"},
		{old, types.ReturnValueUpdatedOld, "REMOVE v", nil, `{v:1}`},
		{old, types.ReturnValueUpdatedNew, "REMOVE v", nil, "nothing"},
		{old, types.ReturnValueUpdatedNew, "SET m.a = :a", vals(n("5")), `{m:{a:5}}`},
		{old, types.ReturnValueUpdatedOld, "ADD m.b :a", vals(n("5")), `{m:{b:2}}`},
		{old, types.ReturnValueUpdatedNew, "SET l[1] = :a", vals(n("5")), `{l:[5]}`},
		{nil, types.ReturnValueAllOld, "SET v = :a", vals(n("2")), "nothing"},
		{nil, types.ReturnValueUpdatedOld, "SET v = :a", vals(n("2")), "nothing"},
		{nil, types.ReturnValueAllNew, "SET v = :a", vals(n("2")), `{pk sk:"1" v:2}`},
		{nil, types.ReturnValueUpdatedNew, "ADD v :a", vals(n("2")), `{v:2}`},
		{old, "EVERYTHING", "SET v = :a", vals(n("2")), invalid},
	} {
		kind := "an item"
		if u.seed == nil {
			kind = "nothing"
		}
		name := "update of " + kind + " returns " + string(u.which) + " of " + u.expression + " " + (&call{}).show(u.values)
		all = append(all, one{name, u.seed, func(q *call) (any, error) {
			out, err := q.UpdateItem(q, &dynamodb.UpdateItemInput{TableName: aws.String("pairs"), Key: q.own(store.Item{"sk": s("1")}),
				UpdateExpression: &u.expression, ExpressionAttributeValues: u.values, ReturnValues: u.which})
			if err != nil {
				return nil, err
			}
			return none(out.Attributes), nil
		}, u.want})
	}
	return all
}

// none makes an absent and an empty answer one: the SDK gives either for the same.
func none(it store.Item) any {
	if len(it) == 0 {
		return nil
	}
	return it
}
