package components

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/dynamodb"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// TableKey is an attribute of a table's or an index's key. The zero value is
// no attribute.
type TableKey struct {
	Name string
	Type string // "S" (the default), "N" or "B"
}

func (k TableKey) kind() string {
	if k.Type == "" {
		return "S"
	}
	return k.Type
}

// TableIndex is a global secondary index.
type TableIndex struct {
	Name     string
	HashKey  TableKey
	RangeKey TableKey // optional
	// Projection is "ALL", "KEYS_ONLY" or "INCLUDE". Required: it decides what
	// the index can answer and what it costs.
	Projection string
	// Attributes are the further attributes of an INCLUDE projection.
	Attributes []string
}

// EncryptedTableArgs are the arguments of an EncryptedTable.
type EncryptedTableArgs struct {
	Place Place
	Tags  map[string]string
	// Name is the physical name. Required. Changing it, HashKey or RangeKey
	// replaces the table.
	Name     string
	HashKey  TableKey
	RangeKey TableKey // optional
	Indexes  []TableIndex
	// TTLAttribute is the number attribute, in seconds since 1970, after which
	// an item expires; empty is none.
	TTLAttribute string
	// Stream is "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES" or "KEYS_ONLY";
	// empty is no stream.
	Stream string
	// Key is the ARN of the customer managed key. Required.
	Key Text
	// RecoveryDays is how far back a point in time can be restored, 1 to 35; 0
	// means 35.
	RecoveryDays int
	// NoRecovery turns point-in-time recovery off.
	NoRecovery bool
	// MaxReadUnits and MaxWriteUnits are ceilings of request units per second,
	// against runaway cost; 0 is no ceiling.
	MaxReadUnits, MaxWriteUnits int
	// AllowDestroy lets Pulumi and AWS delete the table.
	AllowDestroy bool
}

// EncryptedTable is an on-demand DynamoDB table under a customer managed key,
// with point-in-time recovery and protection against deletion. Its policy
// refuses plain HTTP.
type EncryptedTable struct {
	pulumi.ResourceState

	TableArn  pulumi.StringOutput `pulumi:"tableArn"`
	TableName pulumi.StringOutput `pulumi:"tableName"`
	// StreamArn is empty when the table has no stream.
	StreamArn pulumi.StringOutput `pulumi:"streamArn"`

	args EncryptedTableArgs
}

// ARN is the table's ARN, known before deployment.
func (t *EncryptedTable) ARN() string { return t.args.Place.ARN("dynamodb", "table/"+t.args.Name) }

// Name is the table's physical name, known before deployment.
func (t *EncryptedTable) Name() string { return t.args.Name }

// Grant lets a role call exactly these actions, "GetItem" or
// "dynamodb:GetItem", on the table, and use the key for it. The indexes are
// not included.
func (t *EncryptedTable) Grant(actions ...string) []Grant { return t.grants(t.ARN(), actions) }

// GrantIndex lets a role call exactly these actions on one index, and use the
// key for it. Indexes can be queried and scanned only. Naming an index that
// the table has not makes a grant that every role refuses.
func (t *EncryptedTable) GrantIndex(index string, actions ...string) []Grant {
	grants := t.grants(t.ARN()+"/index/"+index, actions)
	if !slices.ContainsFunc(t.args.Indexes, func(i TableIndex) bool { return i.Name == index }) {
		grants[0].problem = fmt.Sprintf("GrantIndex names %q, which the table %q has not", index, t.args.Name)
	}
	for _, action := range grants[0].Actions {
		if !slices.Contains(indexActions, action) {
			grants[0].problem = fmt.Sprintf("GrantIndex grants %s, which indexes do not have: only %s", action, strings.Join(indexActions, ", "))
		}
	}
	return grants
}

var (
	indexActions = []string{"dynamodb:PartiQLSelect", "dynamodb:Query", "dynamodb:Scan"}
	writeActions = []string{
		"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate",
		"dynamodb:PutItem", "dynamodb:UpdateItem",
	}
)

// grants binds the use of the key to DynamoDB and to this table (DynamoDB
// Developer Guide, "DynamoDB encryption at rest usage notes": DynamoDB
// decrypts the table key on behalf of the caller, with this context). Reads
// need Decrypt; writes the rest of what that page requires, less CreateGrant
// and DescribeKey, which only the creator of the table needs.
func (t *EncryptedTable) grants(resource string, actions []string) []Grant {
	full := make([]string, len(actions))
	writes := false
	for i, action := range actions {
		full[i] = "dynamodb:" + strings.TrimPrefix(action, "dynamodb:")
		writes = writes || slices.Contains(writeActions, full[i])
	}
	keyActions := []string{"kms:Decrypt"}
	if writes {
		keyActions = []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
	}
	return append([]Grant{{Actions: full, Resources: known(resource)}}, t.keyGrants(keyActions...)...)
}

func (t *EncryptedTable) keyGrants(actions ...string) []Grant {
	return keyGrants(t.args.Place, t.args.Key, KeyUse{Service: "dynamodb", Context: map[string]Text{
		"aws:dynamodb:subscriberId": Known(t.args.Place.Account), "aws:dynamodb:tableName": Known(t.args.Name),
	}}, actions...)
}

// NewEncryptedTable makes the table.
func NewEncryptedTable(ctx *pulumi.Context, name string, args *EncryptedTableArgs, opts ...pulumi.ResourceOption) (*EncryptedTable, error) {
	if args == nil {
		args = &EncryptedTableArgs{}
	}
	c := begin("EncryptedTable", name, args.Place, args.Tags)
	args.check(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	t := &EncryptedTable{args: *args}
	parent, err := register(ctx, "EncryptedTable", name, pulumi.Map{
		"place": args.Place.inputs(), "name": pulumi.String(args.Name), "indexes": pulumi.Int(len(args.Indexes)),
		"recoveryDays": pulumi.Int(args.recovery()), "stream": pulumi.String(args.Stream), "ttlAttribute": pulumi.String(args.TTLAttribute),
		"allowDestroy": pulumi.Bool(args.AllowDestroy),
	}, t, opts)
	if err != nil {
		return nil, err
	}
	if err := t.build(ctx, name, protect(args.AllowDestroy, parent)); err != nil {
		return nil, fmt.Errorf("EncryptedTable %q: %w", name, err)
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{"tableArn": t.TableArn, "tableName": t.TableName, "streamArn": t.StreamArn})
}

func (t *EncryptedTable) build(ctx *pulumi.Context, name string, opts []pulumi.ResourceOption) error {
	table, err := dynamodb.NewTable(ctx, name, t.args.inputs(), opts...)
	if err != nil {
		return err
	}
	t.TableArn, t.TableName, t.StreamArn = table.Arn, table.Name, table.StreamArn
	_, err = dynamodb.NewResourcePolicy(ctx, name, &dynamodb.ResourcePolicyArgs{
		ResourceArn: table.Arn, Policy: pulumi.String(document(t.policy(), shapeOf)),
	}, opts...)
	return err
}

func (t *EncryptedTable) policy() []statement {
	return []statement{{
		Sid: "DenyPlainHTTP", Effect: "Deny", Principal: everyone(), Actions: []string{"dynamodb:*"},
		Resources: known(t.ARN(), t.ARN()+"/index/*"), Conditions: []Condition{denyPlainHTTP},
	}}
}

func (a *EncryptedTableArgs) inputs() *dynamodb.TableArgs {
	in := &dynamodb.TableArgs{
		Name:                      pulumi.String(a.Name),
		BillingMode:               pulumi.String("PAY_PER_REQUEST"),
		HashKey:                   pulumi.String(a.HashKey.Name),
		Attributes:                a.attributes(),
		DeletionProtectionEnabled: pulumi.Bool(!a.AllowDestroy),
		ServerSideEncryption:      dynamodb.TableServerSideEncryptionArgs{Enabled: pulumi.Bool(true), KmsKeyArn: a.Key.ptr()},
		PointInTimeRecovery:       dynamodb.TablePointInTimeRecoveryArgs{Enabled: pulumi.Bool(!a.NoRecovery)},
		Tags:                      pulumi.ToStringMap(a.Tags),
	}
	if !a.NoRecovery {
		in.PointInTimeRecovery = dynamodb.TablePointInTimeRecoveryArgs{Enabled: pulumi.Bool(true), RecoveryPeriodInDays: pulumi.Int(a.recovery())}
	}
	if a.RangeKey.Name != "" {
		in.RangeKey = pulumi.String(a.RangeKey.Name)
	}
	if a.TTLAttribute != "" {
		in.Ttl = dynamodb.TableTtlArgs{Enabled: pulumi.Bool(true), AttributeName: pulumi.String(a.TTLAttribute)}
	}
	if a.Stream != "" {
		in.StreamEnabled, in.StreamViewType = pulumi.Bool(true), pulumi.String(a.Stream)
	}
	if a.MaxReadUnits > 0 || a.MaxWriteUnits > 0 {
		in.OnDemandThroughput = dynamodb.TableOnDemandThroughputArgs{
			MaxReadRequestUnits: pulumi.Int(ceiling(a.MaxReadUnits)), MaxWriteRequestUnits: pulumi.Int(ceiling(a.MaxWriteUnits)),
		}
	}
	if len(a.Indexes) > 0 {
		in.GlobalSecondaryIndexes = a.indexes()
	}
	return in
}

// ceiling is a number of request units as DynamoDB takes it: -1 is no ceiling.
func ceiling(units int) int { return orDefault(units, -1) }

// indexes gives each index the table's ceilings: without one of its own, an
// index could take what the table may not.
func (a *EncryptedTableArgs) indexes() dynamodb.TableGlobalSecondaryIndexArray {
	var list dynamodb.TableGlobalSecondaryIndexArray
	for _, index := range a.sortedIndexes() {
		in := dynamodb.TableGlobalSecondaryIndexArgs{
			Name: pulumi.String(index.Name), HashKey: pulumi.String(index.HashKey.Name), ProjectionType: pulumi.String(index.Projection),
		}
		if index.RangeKey.Name != "" {
			in.RangeKey = pulumi.String(index.RangeKey.Name)
		}
		if len(index.Attributes) > 0 {
			in.NonKeyAttributes = pulumi.ToStringArray(sortedUnique(index.Attributes))
		}
		if a.MaxReadUnits > 0 || a.MaxWriteUnits > 0 {
			in.OnDemandThroughput = dynamodb.TableGlobalSecondaryIndexOnDemandThroughputArgs{
				MaxReadRequestUnits: pulumi.Int(ceiling(a.MaxReadUnits)), MaxWriteRequestUnits: pulumi.Int(ceiling(a.MaxWriteUnits)),
			}
		}
		list = append(list, in)
	}
	return list
}

func (a *EncryptedTableArgs) sortedIndexes() []TableIndex {
	sorted := slices.Clone(a.Indexes)
	slices.SortFunc(sorted, func(x, y TableIndex) int { return strings.Compare(x.Name, y.Name) })
	return sorted
}

// attributes are exactly the attributes that keys use, as DynamoDB wants it.
func (a *EncryptedTableArgs) attributes() dynamodb.TableAttributeArray {
	kinds := map[string]string{}
	for _, k := range a.keys() {
		kinds[k.Name] = k.kind()
	}
	var list dynamodb.TableAttributeArray
	for _, name := range sortedKeys(kinds) {
		list = append(list, dynamodb.TableAttributeArgs{Name: pulumi.String(name), Type: pulumi.String(kinds[name])})
	}
	return list
}

func (a *EncryptedTableArgs) keys() []TableKey {
	keys := []TableKey{a.HashKey, a.RangeKey}
	for _, index := range a.Indexes {
		keys = append(keys, index.HashKey, index.RangeKey)
	}
	return slices.DeleteFunc(keys, func(k TableKey) bool { return k.Name == "" })
}

func (a *EncryptedTableArgs) recovery() int {
	if a.NoRecovery {
		return 0
	}
	return orDefault(a.RecoveryDays, 35)
}

var tableNamePattern = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (a *EncryptedTableArgs) check(c *checker) {
	c.pattern("Name", a.Name, tableNamePattern, "3 to 255 letters, digits or _.-", "rename the table")
	c.key("Key", a.Key)
	c.attribute("HashKey", a.HashKey, true)
	c.attribute("RangeKey", a.RangeKey, false)
	switch {
	case a.NoRecovery && a.RecoveryDays != 0:
		c.add("RecoveryDays", a.RecoveryDays, "must be 0 when NoRecovery is set", "remove one of them")
	case !a.NoRecovery:
		c.between("RecoveryDays", a.recovery(), 1, 35, "DynamoDB API, PointInTimeRecoverySpecification")
	}
	c.oneOf("Stream", a.Stream, "", "KEYS_ONLY", "NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE")
	if len(a.TTLAttribute) > 255 {
		c.add("TTLAttribute", a.TTLAttribute, "must have at most 255 characters", "shorten it")
	}
	if a.MaxReadUnits < 0 {
		c.add("MaxReadUnits", a.MaxReadUnits, "must not be negative", "set 0 for no ceiling")
	}
	if a.MaxWriteUnits < 0 {
		c.add("MaxWriteUnits", a.MaxWriteUnits, "must not be negative", "set 0 for no ceiling")
	}
	a.checkIndexes(c)
	a.checkKinds(c)
}

func (c *checker) attribute(at string, k TableKey, required bool) {
	if !required && k == (TableKey{}) {
		return
	}
	if n := len(k.Name); n == 0 || n > 255 {
		c.add(at+".Name", k.Name, "must have 1 to 255 characters", "name the attribute")
	}
	c.oneOf(at+".Type", k.kind(), "S", "N", "B")
}

func (a *EncryptedTableArgs) checkIndexes(c *checker) {
	if len(a.Indexes) > 20 {
		c.add("Indexes", len(a.Indexes), "a table has at most 20 global secondary indexes", "remove some")
	}
	var names []string
	for i, index := range a.Indexes {
		at := fmt.Sprintf("Indexes[%d]", i)
		c.pattern(at+".Name", index.Name, tableNamePattern, "3 to 255 letters, digits or _.-", "rename the index")
		c.attribute(at+".HashKey", index.HashKey, true)
		c.attribute(at+".RangeKey", index.RangeKey, false)
		c.oneOf(at+".Projection", index.Projection, "ALL", "INCLUDE", "KEYS_ONLY")
		if (index.Projection == "INCLUDE") != (len(index.Attributes) > 0) {
			c.add(at+".Attributes", index.Attributes, "belong to an INCLUDE projection, which needs them", "set both or none")
		}
		if len(index.Attributes) > 20 {
			c.add(at+".Attributes", len(index.Attributes), "at most 20 (DynamoDB API, Projection)", "use ALL")
		}
		names = append(names, index.Name)
	}
	c.unique("Indexes", names)
}

// checkKinds refuses an attribute that is of two types in two keys, and a key
// that would also be the TTL without being a number.
func (a *EncryptedTableArgs) checkKinds(c *checker) {
	kinds := map[string]string{}
	for _, k := range a.keys() {
		if other, seen := kinds[k.Name]; seen && other != k.kind() {
			c.add("Indexes", k.Name, "is of type "+other+" in one key and "+k.kind()+" in another", "give it one type")
		}
		kinds[k.Name] = k.kind()
	}
	if kind, used := kinds[a.TTLAttribute]; used && kind != "N" {
		c.add("TTLAttribute", a.TTLAttribute, "must be a number, and is of type "+kind+" in a key", "use another attribute")
	}
	if a.RangeKey.Name != "" && a.RangeKey.Name == a.HashKey.Name {
		c.add("RangeKey", a.RangeKey.Name, "must differ from the hash key", "use another attribute")
	}
}
