package mem

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// query is a Query whose parameters have been checked.
type query struct {
	table      *table
	index      *Index // nil for the table itself
	hash, sort string // key attributes that are queried
	keys       []*node
	filter     *node
	paths      []path
	start      item
	backward   bool
	limit      int
	count      bool // only the count is asked
}

// Query is dynamodb:Query.
func (db *DB) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := call(ctx, db, func() (*dynamodb.QueryOutput, error) {
		q, err := db.query(in)
		if err != nil {
			return nil, err
		}
		return q.page(), nil
	})
	return out, named("Query", err)
}

func (db *DB) query(in *dynamodb.QueryInput) (*query, error) {
	if in.AttributesToGet != nil || in.ConditionalOperator != "" || in.KeyConditions != nil || in.QueryFilter != nil {
		return nil, unsupported("AttributesToGet, KeyConditions or QueryFilter")
	}
	if err := noMetrics(in.ReturnConsumedCapacity, ""); err != nil {
		return nil, err
	}
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	q := &query{table: t, hash: t.Hash, sort: t.Range, backward: in.ScanIndexForward != nil && !*in.ScanIndexForward}
	for _, step := range []func(*dynamodb.QueryInput) error{q.bound, q.indexed, q.expressions, q.selected, q.started} {
		if err := step(in); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *query) bound(in *dynamodb.QueryInput) error {
	if in.Limit == nil {
		return nil
	}
	if *in.Limit < 1 {
		return invalid("Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	q.limit = int(*in.Limit)
	return nil
}

func (q *query) indexed(in *dynamodb.QueryInput) error {
	if in.IndexName == nil {
		return nil
	}
	index, err := q.table.index(*in.IndexName)
	if err != nil {
		return err
	}
	if in.ConsistentRead != nil && *in.ConsistentRead {
		return invalid("Consistent reads are not supported on global secondary indexes")
	}
	q.index, q.hash, q.sort = &index, index.Hash, index.Range
	return nil
}

func (q *query) expressions(in *dynamodb.QueryInput) error {
	s, err := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return err
	}
	if in.KeyConditionExpression == nil {
		return invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	keys, err := s.condition("KeyConditionExpression", in.KeyConditionExpression)
	if err != nil {
		return err
	}
	if q.filter, err = s.condition("FilterExpression", in.FilterExpression); err != nil {
		return err
	}
	if q.paths, err = s.projection(in.ProjectionExpression); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	if q.keys, err = q.keyConditions(keys); err != nil {
		return err
	}
	return q.checkNames()
}

// keyConditions are one equality on the hash key and at most one condition on the sort key.
func (q *query) keyConditions(n *node) ([]*node, error) {
	leaves, err := conjuncts(n)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, leaf := range leaves {
		name, err := q.keyCondition(leaf)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, invalid("Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key")
		}
		seen[name] = true
	}
	for _, name := range keyNames(q.hash, q.sort) {
		if !seen[name] && (name == q.hash || len(leaves) == 2) {
			return nil, invalid("Query condition missed key schema element: %s", name)
		}
	}
	if len(leaves) > 2 || len(leaves) == 2 && !seen[q.sort] {
		return nil, invalid("Query key condition not supported")
	}
	return leaves, nil
}

// conjuncts splits a condition at its ANDs, the only operator over conditions that a key condition may have.
func conjuncts(n *node) ([]*node, error) {
	switch n.op {
	case "AND":
		left, err := conjuncts(n.kids[0])
		if err != nil {
			return nil, err
		}
		right, err := conjuncts(n.kids[1])
		return append(left, right...), err
	case "OR", "NOT", "<>", "IN", "contains", "attribute_exists", "attribute_not_exists", "attribute_type":
		return nil, invalid("Invalid operator used in KeyConditionExpression: %s", n.op)
	}
	return []*node{n}, nil
}

// keyCondition checks one condition and names its attribute.
func (q *query) keyCondition(n *node) (string, error) {
	first := n.args[0]
	if len(first.path) != 1 || first.size {
		return "", invalid("Invalid KeyConditionExpression: the first operand must be a key attribute")
	}
	name := first.path[0].name
	if name != q.hash && name != q.sort {
		return name, nil // keyConditions tells which key is missed
	}
	if name == q.hash && n.op != "=" {
		return "", invalid("Query key condition not supported")
	}
	for _, a := range n.args[1:] {
		switch {
		case a.literal == nil:
			return "", invalid("Invalid KeyConditionExpression: an operand must be a value")
		case typeOf(a.literal) != q.table.typeOf(name):
			return "", invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		case n.op == "=" && keyText(a.literal) == "":
			return "", invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
		}
	}
	return name, nil
}

// checkNames refuses filters on key attributes, and attributes that the index does not hold.
func (q *query) checkNames() error {
	names := q.filter.names()
	for _, name := range names {
		if name == q.hash || name == q.sort {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", name)
		}
	}
	for _, p := range q.paths {
		names = append(names, p[0].name)
	}
	for _, name := range names {
		if q.index != nil && !q.table.projects(*q.index, name) {
			return invalid("One or more parameter values were invalid: Global secondary index %s does not project [%s]", q.index.Name, name)
		}
	}
	return nil
}

// names are the attributes that a condition reads.
func (n *node) names() []string {
	if n == nil {
		return nil
	}
	var names []string
	for _, kid := range n.kids {
		names = append(names, kid.names()...)
	}
	for _, a := range n.args {
		if a.path != nil {
			names = append(names, a.path[0].name)
		}
	}
	return names
}

func (q *query) selected(in *dynamodb.QueryInput) error {
	switch in.Select {
	case "":
	case types.SelectAllAttributes, types.SelectAllProjectedAttributes, types.SelectCount:
		if in.ProjectionExpression != nil {
			return invalid("Cannot specify the ProjectionExpression when choosing to get %s", in.Select)
		}
	case types.SelectSpecificAttributes:
		if in.ProjectionExpression == nil {
			return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
		}
	default:
		return invalid("Value '%s' at 'select' failed to satisfy constraint: Member must satisfy enum value set", in.Select)
	}
	if in.Select == types.SelectAllProjectedAttributes && q.index == nil {
		return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	if in.Select == types.SelectAllAttributes && q.index != nil && q.index.Projection != "" && q.index.Projection != types.ProjectionTypeAll {
		return invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", q.index.Name)
	}
	q.count = in.Select == types.SelectCount
	return nil
}

// started checks the key that a page begins after: any key that the query could have reached, stored or not.
func (q *query) started(in *dynamodb.QueryInput) error {
	if in.ExclusiveStartKey == nil {
		return nil
	}
	start, err := acceptedItem(in.ExclusiveStartKey, 1)
	if err != nil {
		return err
	}
	names := q.pageKeyNames()
	for _, name := range names {
		if typeOf(start[name]) != q.table.typeOf(name) || keyText(start[name]) == "" {
			return invalid("The provided starting key is invalid")
		}
	}
	if len(start) != len(names) {
		return invalid("The provided starting key is invalid")
	}
	if !q.meets(start) {
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	q.start = start
	return nil
}

// pageKeyNames are the attributes of the key that a page ends with.
func (q *query) pageKeyNames() []string {
	names := q.table.keyNames()
	for _, name := range keyNames(q.hash, q.sort) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// meets tells whether an item is in the index and meets the key conditions.
func (q *query) meets(it item) bool {
	for _, name := range keyNames(q.hash, q.sort) {
		if it[name] == nil {
			return false
		}
	}
	return !slices.ContainsFunc(q.keys, func(n *node) bool { return !n.holds(it) })
}

// compareKeys orders items of a table by their keys.
func (t *table) compareKeys(a, b item) int {
	for _, name := range t.keyNames() {
		if c, _ := order(a[name], b[name]); c != 0 {
			return c
		}
	}
	return 0
}

// compare orders items as the query reads them. Where an index has equal keys, the table's keys decide.
func (q *query) compare(a, b item) int {
	c, _ := order(a[q.sort], b[q.sort])
	if c == 0 {
		c = q.table.compareKeys(a, b)
	}
	if q.backward {
		return -c
	}
	return c
}

// page reads up to the limit, or 1 MB, of what meets the key conditions. As DynamoDB does, it gives a key to go on with
// whenever the limit ended the page, even if nothing follows.
func (q *query) page() *dynamodb.QueryOutput {
	out, size := &dynamodb.QueryOutput{}, 0
	var last item
	for _, it := range q.following() {
		size += store.Size(it)
		if last != nil && (size > maxPage || int(out.ScannedCount) == q.limit) {
			break
		}
		last = it
		out.ScannedCount++
		if view := q.view(it); q.filter.holds(view) {
			out.Count++
			if !q.count {
				out.Items = append(out.Items, project(view, q.paths))
			}
		}
	}
	if last != nil && (size > maxPage || int(out.ScannedCount) == q.limit) {
		out.LastEvaluatedKey = item{}
		for _, name := range q.pageKeyNames() {
			out.LastEvaluatedKey[name] = clone(last[name])
		}
	}
	return out
}

// following are the items after the start that meet the key conditions, in order.
func (q *query) following() []item {
	var found []item
	for _, it := range q.table.items {
		if q.meets(it) && (q.start == nil || q.compare(it, q.start) > 0) {
			found = append(found, it)
		}
	}
	slices.SortFunc(found, q.compare)
	return found
}

// view is the part of an item that the index holds.
func (q *query) view(it item) item {
	if q.index == nil {
		return it
	}
	part := item{}
	for name, v := range it {
		if q.table.projects(*q.index, name) {
			part[name] = v
		}
	}
	return part
}
