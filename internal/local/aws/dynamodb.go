package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// Limits of "Service, account, and table quotas in Amazon DynamoDB".
const (
	maxBatchWrites  = 25
	maxBatchGets    = 100
	maxTransaction  = 100
	motoTransactGet = 25               // where moto stops
	largeUpdate     = 300 << 10        // an update that makes a new item too large has a body larger than this
	tokenLife       = 10 * time.Minute // "TransactWriteItems", ClientRequestToken
)

// dynamodb runs writes one at a time and reads beside each other. A canceled transaction of moto puts back the tables as
// they were when it began, and an update shows while it is half done: with one write at a time neither can be seen.
func (f *Front) dynamodb(q *request) (*answer, error) {
	switch q.Action {
	case "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction",
		"CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "RestoreTableToPointInTime", "RestoreTableFromBackup":
		f.writes.Lock()
		defer f.writes.Unlock()
	default:
		f.writes.RLock()
		defer f.writes.RUnlock()
	}
	a, err := f.dynamodbMend(q)
	if err != nil || !a.ok() {
		return a, err
	}
	switch q.Action {
	case "CreateTable", "UpdateTable", "DeleteTable", "DescribeTable", "RestoreTableToPointInTime", "RestoreTableFromBackup", "ListStreams", "DescribeStream":
		return shortLabels(a)
	}
	return withoutCapacity(a)
}

func (f *Front) dynamodbMend(q *request) (*answer, error) {
	switch q.Action {
	case "TransactWriteItems":
		return f.transactWrite(q)
	case "TransactGetItems":
		return f.transactGet(q)
	case "BatchWriteItem":
		return f.batchWrite(q)
	case "UpdateItem":
		return f.updateItem(q)
	case "GetRecords":
		return f.getRecords(q)
	}
	return f.forward(q)
}

// withoutCapacity removes the figures that moto makes up. The front knows no better ones for every call, and says nothing.
func withoutCapacity(a *answer) (*answer, error) {
	if !bytes.Contains(a.body, []byte(`"ConsumedCapacity"`)) && !bytes.Contains(a.body, []byte(`"ItemCollectionMetrics"`)) {
		return a, nil
	}
	fields := a.fields()
	delete(fields, "ConsumedCapacity")
	delete(fields, "ItemCollectionMetrics")
	return a.replace(fields)
}

// shortLabels makes labels of streams as precise as AWS's: milliseconds ("Change data capture for DynamoDB Streams").
// Moto finds a stream by its table, whatever the label in its ARN.
func shortLabels(a *answer) (*answer, error) {
	fields := a.fields()
	shortLabelsIn(fields)
	return a.replace(fields)
}

func shortLabelsIn(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			shortLabelsIn(element)
		}
	case map[string]any:
		for name, inner := range v {
			switch name {
			case "LatestStreamLabel", "StreamLabel", "LatestStreamArn", "StreamArn":
				v[name] = shortLabel(inner)
			default:
				shortLabelsIn(inner)
			}
		}
	}
}

// shortLabel is a label, or an ARN that ends with one, cut or filled to milliseconds.
func shortLabel(value any) any {
	whole, _ := value.(string)
	arn, label := "", whole
	if i := strings.LastIndexByte(whole, '/'); i >= 0 {
		arn, label = whole[:i+1], whole[i+1:]
	}
	at, err := time.Parse("2006-01-02T15:04:05", label) // takes fractions
	if err != nil {
		return value
	}
	return arn + at.Format("2006-01-02T15:04:05.000")
}

// batchWrite refuses what AWS refuses before it writes anything ("BatchWriteItem").
func (f *Front) batchWrite(q *request) (*answer, error) {
	count := 0
	for _, requests := range object(q.Body, "RequestItems") {
		l, _ := requests.([]any)
		count += len(l)
	}
	if count > maxBatchWrites {
		return nil, refuse("ValidationException", "Too many items requested for the BatchWriteItem call")
	}
	for table, requests := range object(q.Body, "RequestItems") {
		l, _ := requests.([]any)
		twice, err := f.writesTwice(q.ctx, table, l)
		if err != nil {
			return nil, err
		}
		if twice {
			return nil, refuse("ValidationException", "Provided list of item keys contains duplicates")
		}
	}
	return f.forward(q)
}

// writesTwice tells whether two requests of a batch concern one item.
func (f *Front) writesTwice(ctx context.Context, table string, requests []any) (bool, error) {
	names, err := f.keyNames(ctx, table)
	if err != nil || names == nil {
		return false, err // moto says that there is no such table
	}
	seen := map[string]bool{}
	for _, r := range requests {
		one, _ := r.(map[string]any)
		from := object(object(one, "PutRequest"), "Item")
		if from == nil {
			from = object(object(one, "DeleteRequest"), "Key")
		}
		id := fingerprint(pick(from, names))
		if seen[id] {
			return true, nil
		}
		seen[id] = true
	}
	return false, nil
}

// keyNames are the attributes of a table's primary key, nil when there is no such table.
func (f *Front) keyNames(ctx context.Context, table string) ([]string, error) {
	a, err := f.ask(ctx, "dynamodb", "DynamoDB_20120810.DescribeTable", map[string]any{"TableName": table})
	if err != nil || !a.ok() {
		return nil, err
	}
	var names []string
	for _, k := range list(object(a.fields(), "Table"), "KeySchema") {
		one, _ := k.(map[string]any)
		names = append(names, text(one, "AttributeName"))
	}
	return names, nil
}

func pick(item map[string]any, names []string) map[string]any {
	picked := map[string]any{}
	for _, n := range names {
		picked[n] = item[n]
	}
	return picked
}

// fingerprint is the same for equal JSON values; encoding/json sorts the keys.
func fingerprint(v any) string {
	b, _ := json.Marshal(v) // v was decoded from JSON
	sum := sha256.Sum256(b)
	return string(sum[:])
}

// updateItem removes what moto leaves when an update would make a new item too large: an item with nothing but its key.
func (f *Front) updateItem(q *request) (*answer, error) {
	if len(q.raw) < largeUpdate {
		return f.forward(q)
	}
	item := map[string]any{"TableName": q.Body["TableName"], "Key": q.Body["Key"]}
	before, err := f.ask(q.ctx, "dynamodb", "DynamoDB_20120810.GetItem", item)
	if err != nil {
		return nil, err
	}
	a, err := f.forward(q)
	if err != nil || a.ok() || !before.ok() || object(before.fields(), "Item") != nil {
		return a, err
	}
	if _, err := f.ask(q.ctx, "dynamodb", "DynamoDB_20120810.DeleteItem", item); err != nil {
		return nil, err
	}
	return a, nil
}

// transactGet serves up to AWS's limit by asking moto in parts; no write can come between them.
func (f *Front) transactGet(q *request) (*answer, error) {
	items := list(q.Body, "TransactItems")
	if len(items) <= motoTransactGet || len(items) > maxTransaction {
		return f.forward(q)
	}
	var all []any
	var last *answer
	for start := 0; start < len(items); start += motoTransactGet {
		part, err := q.set("TransactItems", items[start:min(start+motoTransactGet, len(items))])
		if err != nil {
			return nil, err
		}
		if last, err = f.forward(part); err != nil || !last.ok() {
			return last, err
		}
		all = append(all, list(last.fields(), "Responses")...)
	}
	return last.replace(map[string]any{"Responses": all})
}

// tokens are the transactions of the last ten minutes that carried a client token.
type tokens struct {
	mu   sync.Mutex
	done map[string]transaction
}

type transaction struct {
	fingerprint string
	answer      *answer
	at          time.Time
}

// find forgets what is old and returns the transaction of a token.
func (t *tokens) find(token string, now time.Time) (transaction, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.done, func(_ string, one transaction) bool { return now.Sub(one.at) >= tokenLife })
	one, found := t.done[token]
	return one, found
}

func (t *tokens) keep(token string, one transaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = map[string]transaction{}
	}
	t.done[token] = one
}

// transactWrite applies the transaction of one client token once. A canceled one may be tried again with the same token.
func (f *Front) transactWrite(q *request) (*answer, error) {
	token, now := text(q.Body, "ClientRequestToken"), f.config.Now()
	if token == "" {
		return f.forward(q)
	}
	print := fingerprint(q.Body["TransactItems"])
	if one, found := f.tokens.find(token, now); found {
		if one.fingerprint != print {
			return nil, refuse("IdempotentParameterMismatchException", "Request parameters do not match the parameters of the earlier request with the same client token")
		}
		return one.answer, nil
	}
	a, err := f.forward(q)
	if err == nil && a.ok() {
		f.tokens.keep(token, transaction{print, a, now})
	}
	return a, err
}

// getRecords removes stream records that AWS does not write: of an update that changed nothing, and the first of the two
// that moto writes for an update that creates an item ("Change data capture for DynamoDB Streams").
func (f *Front) getRecords(q *request) (*answer, error) {
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	fields := a.fields()
	records := list(fields, "Records")
	following, err := f.recordAfter(q, fields)
	if err != nil {
		return nil, err
	}
	var real []any
	for i, r := range records {
		next := following
		if i+1 < len(records) {
			next = records[i+1]
		}
		if !spurious(r, next) {
			real = append(real, r)
		}
	}
	if len(real) == len(records) {
		return a, nil
	}
	fields["Records"] = append([]any{}, real...)
	return a.replace(fields)
}

// recordAfter is the record behind a full answer, nil if there is none: the pair to tell apart may have been cut in two.
func (f *Front) recordAfter(q *request, fields map[string]any) (any, error) {
	limit, err := json.Number(fmt.Sprint(q.Body["Limit"])).Int64()
	if err != nil || int64(len(list(fields, "Records"))) < limit || text(fields, "NextShardIterator") == "" {
		return nil, nil
	}
	a, err := f.ask(q.ctx, "dynamodb", "DynamoDBStreams_20120810.GetRecords", map[string]any{"ShardIterator": fields["NextShardIterator"], "Limit": 1})
	if err != nil || !a.ok() {
		return nil, err
	}
	if after := list(a.fields(), "Records"); len(after) > 0 {
		return after[0], nil
	}
	return nil, nil
}

func spurious(record, next any) bool {
	r, _ := record.(map[string]any)
	n, _ := next.(map[string]any)
	change := object(r, "dynamodb")
	keys := fingerprint(change["Keys"])
	switch text(r, "eventName") {
	case "MODIFY":
		return change["OldImage"] != nil && fingerprint(change["OldImage"]) == fingerprint(change["NewImage"])
	case "INSERT":
		return text(n, "eventName") == "INSERT" && fingerprint(object(n, "dynamodb")["Keys"]) == keys
	}
	return false
}

// Sweep deletes the items whose time to live is over, as DynamoDB does in the background within a few days ("Using time to live
// (TTL) in DynamoDB"): a number of seconds in the past, but not more than five years ago. Call it now and then.
func (f *Front) Sweep(ctx context.Context) error {
	a, err := f.ask(ctx, "dynamodb", "DynamoDB_20120810.ListTables", map[string]any{"Limit": 100})
	for ; err == nil && a.ok(); a, err = f.nextTables(ctx, a) {
		for _, name := range list(a.fields(), "TableNames") {
			table, _ := name.(string)
			if err := f.sweepTable(ctx, table); err != nil {
				return fmt.Errorf("aws: sweep of table %s: %w", table, err)
			}
		}
		if text(a.fields(), "LastEvaluatedTableName") == "" {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("the store answers %d", a.status)
	}
	return fmt.Errorf("aws: sweep: %w", err)
}

func (f *Front) nextTables(ctx context.Context, a *answer) (*answer, error) {
	return f.ask(ctx, "dynamodb", "DynamoDB_20120810.ListTables", map[string]any{"Limit": 100, "ExclusiveStartTableName": a.fields()["LastEvaluatedTableName"]})
}

func (f *Front) sweepTable(ctx context.Context, table string) error {
	a, err := f.ask(ctx, "dynamodb", "DynamoDB_20120810.DescribeTimeToLive", map[string]any{"TableName": table})
	if err != nil {
		return err
	}
	ttl := object(a.fields(), "TimeToLiveDescription")
	if text(ttl, "TimeToLiveStatus") != "ENABLED" {
		return nil
	}
	names, err := f.keyNames(ctx, table)
	if err != nil {
		return err
	}
	now := f.config.Now()
	expired := map[string]any{
		"TableName":                table,
		"FilterExpression":         "attribute_type(#ttl, :number) AND #ttl < :now AND #ttl > :fiveYearsAgo",
		"ExpressionAttributeNames": map[string]any{"#ttl": ttl["AttributeName"]},
		"ExpressionAttributeValues": map[string]any{
			":number":       map[string]any{"S": "N"},
			":now":          map[string]any{"N": fmt.Sprint(now.Unix())},
			":fiveYearsAgo": map[string]any{"N": fmt.Sprint(now.AddDate(-5, 0, 0).Unix())},
		},
	}
	return f.deleteMatches(ctx, expired, names)
}

// deleteMatches deletes what a scan finds, page by page, in one turn of the writes.
func (f *Front) deleteMatches(ctx context.Context, scan map[string]any, names []string) error {
	f.writes.Lock()
	defer f.writes.Unlock()
	for {
		page, err := f.ask(ctx, "dynamodb", "DynamoDB_20120810.Scan", scan)
		if err != nil {
			return err
		}
		if !page.ok() {
			return fmt.Errorf("scan: %s", page.code())
		}
		for _, i := range list(page.fields(), "Items") {
			item, _ := i.(map[string]any)
			a, err := f.ask(ctx, "dynamodb", "DynamoDB_20120810.DeleteItem", map[string]any{"TableName": scan["TableName"], "Key": pick(item, names)})
			if err != nil {
				return err
			}
			if !a.ok() {
				return fmt.Errorf("delete: %s", a.code())
			}
		}
		if page.fields()["LastEvaluatedKey"] == nil {
			return nil
		}
		scan["ExclusiveStartKey"] = page.fields()["LastEvaluatedKey"]
	}
}
