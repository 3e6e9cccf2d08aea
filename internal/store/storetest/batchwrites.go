package storetest

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// batchWrites are BatchWriteItem (API reference, BatchWriteItem): done whole, or refused before anything is written.
func batchWrites() []one {
	put := func(c *call, it store.Item) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: c.own(it)}}
	}
	del := func(c *call, key store.Item) types.WriteRequest {
		return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: c.own(key)}}
	}
	pairs := func(c *call, all ...types.WriteRequest) map[string][]types.WriteRequest {
		return map[string][]types.WriteRequest{"pairs": append([]types.WriteRequest{put(c, store.Item{"sk": s("2"), "v": n("9")})}, all...)}
	}
	many := func(c *call, count int) (all []types.WriteRequest) {
		for i := range count {
			all = append(all, put(c, store.Item{"sk": s(fmt.Sprint("x", i))}))
		}
		return all
	}
	seed := []store.Item{{"sk": s("1"), "v": n("1")}, {"sk": s("2"), "v": n("2"), "w": n("2")}}
	const same = ` {sk:"1" v:1} {sk:"2" v:2 w:2}`
	var all []one
	for _, b := range []struct {
		name string
		ask  func(*call) map[string][]types.WriteRequest
		want string
	}{
		{"in place of what is there", func(c *call) map[string][]types.WriteRequest { return pairs(c) }, `done {sk:"1" v:1} {sk:"2" v:9}`},
		{"of puts and deletes", func(c *call) map[string][]types.WriteRequest {
			return pairs(c, del(c, store.Item{"sk": s("1")}), put(c, store.Item{"sk": s("3"), "v": n("1.0")}))
		}, `done {sk:"2" v:9} {sk:"3" v:1}`},
		{"of what is not there", func(c *call) map[string][]types.WriteRequest {
			return map[string][]types.WriteRequest{"pairs": {del(c, store.Item{"sk": s("none")})}}
		}, "done" + same},
		{"of tables", func(c *call) map[string][]types.WriteRequest {
			all := pairs(c)
			all["numbers"] = []types.WriteRequest{put(c, store.Item{"n": n("1")}), del(c, store.Item{"n": n("2")})}
			return all
		}, `done {sk:"1" v:1} {sk:"2" v:9}`},
		{"of equal keys of tables", func(c *call) map[string][]types.WriteRequest {
			all := map[string][]types.WriteRequest{"pairs": {del(c, store.Item{"sk": s("2")})}}
			all["numbers"] = []types.WriteRequest{put(c, store.Item{"n": n("2")})}
			return all
		}, `done {sk:"1" v:1}`},
		{"of twenty-five", func(c *call) map[string][]types.WriteRequest {
			return map[string][]types.WriteRequest{"pairs": append(many(c, 23), del(c, store.Item{"sk": s("1")}), del(c, store.Item{"sk": s("2")}))}
		}, "done" + strings.Join(func() (all []string) {
			for _, i := range []int{0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2, 20, 21, 22, 3, 4, 5, 6, 7, 8, 9} {
				all = append(all, fmt.Sprintf(` {sk:"x%d"}`, i))
			}
			return all
		}(), "")},
		{"of more than twenty-five", func(c *call) map[string][]types.WriteRequest { return pairs(c, many(c, 25)...) }, invalid + same},
		{"of more than twenty-five in two tables", func(c *call) map[string][]types.WriteRequest {
			all := pairs(c, many(c, 23)...)
			all["numbers"] = []types.WriteRequest{del(c, store.Item{"n": n("1")}), del(c, store.Item{"n": n("2")})}
			return all
		}, invalid + same},
		{"of no tables", func(*call) map[string][]types.WriteRequest { return map[string][]types.WriteRequest{} }, invalid + same},
		{"of no writes", func(*call) map[string][]types.WriteRequest { return map[string][]types.WriteRequest{"pairs": {}} }, invalid + same},
		{"of no kind", func(c *call) map[string][]types.WriteRequest { return pairs(c, types.WriteRequest{}) }, invalid + same},
		{"of two kinds", func(c *call) map[string][]types.WriteRequest {
			both := put(c, store.Item{"sk": s("3")})
			both.DeleteRequest = del(c, store.Item{"sk": s("3")}).DeleteRequest
			return pairs(c, both)
		}, invalid + same},
		{"of one item twice", func(c *call) map[string][]types.WriteRequest {
			return pairs(c, put(c, store.Item{"sk": s("3"), "v": n("1")}), put(c, store.Item{"sk": s("3"), "v": n("2")}))
		}, invalid + same},
		{"that puts and deletes one item", func(c *call) map[string][]types.WriteRequest { return pairs(c, del(c, store.Item{"sk": s("2")})) }, invalid + same},
		{"that deletes one item twice", func(c *call) map[string][]types.WriteRequest { // and once more: moto compares keys as texts, whose two parts come in any order
			return pairs(c, del(c, store.Item{"sk": s("1")}), del(c, store.Item{"sk": s("1")}), del(c, store.Item{"sk": s("1")}))
		}, invalid + same},
		{"of one number twice", func(c *call) map[string][]types.WriteRequest {
			all := pairs(c)
			all["numbers"] = []types.WriteRequest{put(c, store.Item{"n": n("5")}), del(c, store.Item{"n": n("5.0")})}
			return all
		}, invalid + same},
		{"of an item without its key", func(c *call) map[string][]types.WriteRequest { return pairs(c, put(c, store.Item{"v": n("1")})) }, invalid + same},
		{"of an item over 400 KB", func(c *call) map[string][]types.WriteRequest {
			return pairs(c, put(c, store.Item{"sk": s("3"), "v": s(strings.Repeat("x", 400<<10))}))
		}, invalid + same},
		{"of an index key of another type", func(c *call) map[string][]types.WriteRequest {
			return pairs(c, put(c, store.Item{"sk": s("3"), "date": n("1")}))
		}, invalid + same},
		{"by a key of another type", func(c *call) map[string][]types.WriteRequest { return pairs(c, del(c, store.Item{"sk": n("1")})) }, invalid + same},
		{"by part of a key", func(c *call) map[string][]types.WriteRequest { return pairs(c, del(c, store.Item{})) }, invalid + same},
		{"by more than the key", func(c *call) map[string][]types.WriteRequest {
			return pairs(c, del(c, store.Item{"sk": s("1"), "v": n("1")}))
		}, invalid + same},
		{"by an empty key", func(c *call) map[string][]types.WriteRequest { return pairs(c, del(c, store.Item{"sk": s("")})) }, invalid + same},
		{"of a table that is not there", func(c *call) map[string][]types.WriteRequest {
			all := pairs(c)
			all["none"] = []types.WriteRequest{del(c, store.Item{"sk": s("1")})}
			return all
		}, "ResourceNotFoundException" + same},
	} {
		all = append(all, one{"batch write " + b.name, seed, func(c *call) (any, error) {
			_, err := c.BatchWriteItem(c, &dynamodb.BatchWriteItemInput{RequestItems: b.ask(c)})
			return c.after(err), nil
		}, b.want})
	}
	return append(all, one{"batch write leaves nothing over", nil, func(c *call) (any, error) {
		out, err := c.BatchWriteItem(c, &dynamodb.BatchWriteItemInput{RequestItems: pairs(c)})
		if err != nil {
			return nil, err
		}
		return fmt.Sprint(len(out.UnprocessedItems)), nil
	}, "0"}, one{"batch write is of whole items", seed, func(c *call) (any, error) {
		if _, err := c.BatchWriteItem(c, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"pairs": {put(c, store.Item{"sk": s("2")})}}}); err != nil {
			return nil, err
		}
		out, err := c.GetItem(c, &dynamodb.GetItemInput{TableName: aws.String("pairs"), Key: c.own(store.Item{"sk": s("2")}), ConsistentRead: aws.Bool(true)})
		if err != nil {
			return nil, err
		}
		return out.Item, nil
	}, `{pk sk:"2"}`})
}
