package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

func batches() []one {
	seed := []store.Item{{"sk": s("1"), "v": n("1")}, {"sk": s("2"), "v": n("2")}}
	pair := func(c *call, sks ...string) types.KeysAndAttributes {
		var asked types.KeysAndAttributes
		for _, sk := range sks {
			asked.Keys = append(asked.Keys, c.own(store.Item{"sk": s(sk)}))
		}
		return asked
	}
	many := func(count int) []string {
		all := make([]string, count)
		for i := range all {
			all[i] = fmt.Sprint(i + 1)
		}
		return all
	}
	var all []one
	for _, b := range []struct {
		name string
		ask  func(*call) map[string]types.KeysAndAttributes
		want string
	}{
		{"of what is there", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, "2", "none", "1")}
		}, `pairs {pk sk:"1" v:1} pairs {pk sk:"2" v:2}`},
		{"of nothing", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, "none")}
		}, ""},
		{"projected", func(c *call) map[string]types.KeysAndAttributes {
			p := pair(c, "1")
			p.ProjectionExpression, p.ExpressionAttributeNames = aws.String("#v"), map[string]string{"#v": "v"}
			return map[string]types.KeysAndAttributes{"pairs": p}
		}, `pairs {v:1}`},
		{"of a hundred", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, many(100)...)}
		}, `pairs {pk sk:"1" v:1} pairs {pk sk:"2" v:2}`},
		{"of tables", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, "1"), "numbers": {Keys: []store.Item{c.own(store.Item{"n": n("1")})}}}
		}, `pairs {pk sk:"1" v:1}`},
		{"of more than a hundred", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, many(101)...)}
		}, invalid},
		{"of no tables", func(*call) map[string]types.KeysAndAttributes { return map[string]types.KeysAndAttributes{} }, invalid},
		{"of no keys", func(*call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": {Keys: []store.Item{}}}
		}, invalid},
		{"of one key twice", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, "1", "1")}
		}, invalid},
		{"of a wrong key", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": {Keys: []store.Item{c.own(store.Item{"sk": n("1")})}}}
		}, invalid},
		{"of an empty key", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"pairs": pair(c, "")}
		}, invalid},
		{"with a broken projection", func(c *call) map[string]types.KeysAndAttributes {
			p := pair(c, "1")
			p.ProjectionExpression = aws.String("v,")
			return map[string]types.KeysAndAttributes{"pairs": p}
		}, invalid},
		{"of a table that is not there", func(c *call) map[string]types.KeysAndAttributes {
			return map[string]types.KeysAndAttributes{"none": pair(c, "1")}
		}, "ResourceNotFoundException"},
	} {
		all = append(all, one{"batch get " + b.name, seed, func(c *call) (any, error) {
			out, err := c.BatchGetItem(c, &dynamodb.BatchGetItemInput{RequestItems: b.ask(c)})
			if err != nil {
				return nil, err
			}
			var found []string
			for table, items := range out.Responses {
				for _, it := range items {
					found = append(found, table+" "+c.show(it))
				}
			}
			slices.Sort(found)
			return strings.Join(found, " "), nil
		}, b.want})
	}
	return all
}

// write is one write of a transaction on pairs.
type write func(*call) types.TransactWriteItem

func put(it store.Item, condition string, failed types.ReturnValuesOnConditionCheckFailure) write {
	return func(c *call) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: aws.String("pairs"), Item: c.own(it), ConditionExpression: opt(condition), ReturnValuesOnConditionCheckFailure: failed}}
	}
}

func update(sk, expression, condition string, values store.Item) write {
	return func(c *call) types.TransactWriteItem {
		return types.TransactWriteItem{Update: &types.Update{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s(sk)}), UpdateExpression: &expression,
			ConditionExpression: opt(condition), ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}}
	}
}

func del(sk, condition string) write {
	return func(c *call) types.TransactWriteItem {
		return types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s(sk)}), ConditionExpression: opt(condition)}}
	}
}

func check(sk, condition string) write {
	return func(c *call) types.TransactWriteItem {
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s(sk)}), ConditionExpression: opt(condition),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}}
	}
}

// then is the outcome of a transaction and what the partition holds after it.
func (c *call) then(token string, writes ...write) string {
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: opt(token), TransactItems: []types.TransactWriteItem{}}
	for _, w := range writes {
		in.TransactItems = append(in.TransactItems, w(c))
	}
	_, err := c.TransactWriteItems(c, in)
	return c.after(err)
}

// after is the outcome of a call and what the partition holds after it.
func (c *call) after(err error) string {
	out, failed := c.Query(c, asked{key: "pk = :pk"}.input(c))
	if failed != nil {
		return failed.Error()
	}
	text := "done"
	if err != nil {
		text = c.outcome(nil, err)
	}
	for _, it := range out.Items {
		delete(it, "pk")
		text += " " + c.show(it)
	}
	return text
}

// transactions are TransactWriteItems (DynamoDB guide, "Amazon DynamoDB Transactions: How it works").
func transactions() []one {
	const same = ` {sk:"1" v:1} {sk:"2" v:2}`
	const show = types.ReturnValuesOnConditionCheckFailureAllOld
	seed := []store.Item{{"sk": s("1"), "v": n("1")}, {"sk": s("2"), "v": n("2")}}
	var puts []write
	for i := range 101 {
		puts = append(puts, put(store.Item{"sk": s(fmt.Sprint("x", i))}, "", ""))
	}
	large := s(strings.Repeat("x", 390<<10))
	var larges []write
	for i := range 11 {
		larges = append(larges, put(store.Item{"sk": s(fmt.Sprint("x", i)), "v": large}, "", ""))
	}
	var all []one
	for _, x := range []struct {
		name   string
		writes []write
		want   string
	}{
		{"of each kind", []write{put(store.Item{"sk": s("3")}, "attribute_not_exists(pk)", ""), update("1", "ADD v :a", "", vals(n("5"))), del("2", "attribute_exists(v)"), check("4", "attribute_not_exists(pk)")},
			`done {sk:"1" v:6} {sk:"3"}`},
		{"that makes an item by an update", []write{update("3", "SET v = :a", "", vals(n("5")))}, "done" + same + ` {sk:"3" v:5}`},
		{"where one refuses", []write{put(store.Item{"sk": s("3")}, "", ""), put(store.Item{"sk": s("1")}, "attribute_not_exists(pk)", "")},
			"TransactionCanceledException None ConditionalCheckFailed" + same},
		{"where one refuses with its item", []write{put(store.Item{"sk": s("1")}, "attribute_not_exists(pk)", show), del("2", "")},
			`TransactionCanceledException ConditionalCheckFailed {pk sk:"1" v:1} None` + same},
		{"where all refuse", []write{put(store.Item{"sk": s("3")}, "attribute_exists(pk)", show), update("1", "ADD v :a", "v > :a", vals(n("5"))), del("2", "attribute_not_exists(v)"), check("4", "attribute_exists(pk)")},
			`TransactionCanceledException ConditionalCheckFailed ConditionalCheckFailed {pk sk:"1" v:1} ConditionalCheckFailed ConditionalCheckFailed` + same},
		{"where a check refuses", []write{del("1", ""), check("2", "v = pk")}, `TransactionCanceledException None ConditionalCheckFailed {pk sk:"2" v:2}` + same},
		{"where an update does not fit its item", []write{del("2", ""), update("1", "ADD v :a", "", vals(ss("x")))}, "TransactionCanceledException None ValidationError" + same},
		{"where an attribute is missing", []write{del("2", ""), update("1", "SET v = w", "", nil)}, "TransactionCanceledException None ValidationError" + same},
		{"of nothing", nil, invalid + same},
		{"of more than a hundred", puts, invalid + same},
		{"over 4 MB", larges, invalid + same},
		{"of two writes of an item", []write{update("1", "ADD v :a", "", vals(n("1"))), update("1", "ADD v :a", "", vals(n("1")))}, invalid + same},
		{"of a write and a check of an item", []write{update("1", "ADD v :a", "", vals(n("1"))), check("1", "attribute_exists(pk)")}, invalid + same},
		{"of a check without a condition", []write{del("2", ""), check("1", "")}, "error" + same},
		{"of a write of no kind", []write{del("2", ""), func(*call) types.TransactWriteItem { return types.TransactWriteItem{} }}, invalid + same},
		{"of a write of two kinds", []write{func(c *call) types.TransactWriteItem {
			both := put(store.Item{"sk": s("3")}, "", "")(c)
			both.Delete = del("1", "")(c).Delete
			return both
		}}, invalid + same},
		{"with a broken condition", []write{del("2", ""), put(store.Item{"sk": s("3")}, "attribute_exists(", "")}, invalid + same},
		{"with a broken update", []write{del("2", ""), update("1", "SET v", "", nil)}, invalid + same},
		{"of a key attribute", []write{del("2", ""), update("1", "SET sk = :a", "", vals(s("x")))}, invalid + same},
		{"with a value that is not used", []write{del("2", ""), update("1", "REMOVE v", "", vals(s("x")))}, invalid + same},
		{"with an item too large", []write{del("2", ""), put(store.Item{"sk": s("3"), "v": s(strings.Repeat("x", 401<<10))}, "", "")}, invalid + same},
		{"of a table that is not there", []write{del("2", ""), func(c *call) types.TransactWriteItem {
			w := put(store.Item{"sk": s("3")}, "", "")(c)
			w.Put.TableName = aws.String("none")
			return w
		}}, "ResourceNotFoundException" + same},
	} {
		all = append(all, one{"transaction " + x.name, seed, func(c *call) (any, error) {
			got := c.then("", x.writes...)
			if strings.HasPrefix(x.want, "error") { // the SDK refuses it before DynamoDB can
				_, rest, _ := strings.Cut(got, " {sk")
				return "error {sk" + rest, nil
			}
			return got, nil
		}, x.want})
	}
	return append(all, tokens()...)
}

// tokens are transactions that are repeated with their client token.
func tokens() []one {
	add := update("1", "ADD v :a", "", vals(n("1")))
	refused := update("1", "ADD v :a", "attribute_exists(v)", vals(n("1")))
	var all []one
	for _, x := range []struct {
		name string
		do   func(*call) string
		want string
	}{
		{"repeated with its token is done once", func(c *call) string {
			return c.then(token(c), add) + ", " + c.then(token(c), add)
		}, `done {sk:"1" v:1}, done {sk:"1" v:1}`},
		{"with another token is done again", func(c *call) string {
			return c.then(token(c), add) + ", " + c.then(token(c)+"2", add)
		}, `done {sk:"1" v:1}, done {sk:"1" v:2}`},
		{"with the token of another is refused", func(c *call) string {
			return c.then(token(c), add) + ", " + c.then(token(c), update("1", "ADD v :a", "", vals(n("2"))))
		}, `done {sk:"1" v:1}, IdempotentParameterMismatchException {sk:"1" v:1}`},
		{"that was canceled may be repeated", func(c *call) string {
			return c.then(token(c), refused) + ", " + c.then("", add) + ", " + c.then(token(c), refused)
		}, `TransactionCanceledException ConditionalCheckFailed, done {sk:"1" v:1}, done {sk:"1" v:2}`},
		{"with a token over 36 characters", func(c *call) string { return c.then(strings.Repeat("x", 37), add) }, invalid},
	} {
		all = append(all, one{"transaction " + x.name, nil, func(c *call) (any, error) { return x.do(c), nil }, x.want})
	}
	return all
}

// token is one of the case's own.
func token(c *call) string {
	return fmt.Sprintf("%.30s", strings.TrimPrefix(c.pk, "transaction "))
}
