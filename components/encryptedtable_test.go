package components_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

func tableArgs() *components.EncryptedTableArgs {
	return &components.EncryptedTableArgs{
		Place: place(), Name: "expenzez-test-transactions", HashKey: components.TableKey{Name: "userId"}, Key: key(),
	}
}

func tableBuild(change func(*components.EncryptedTableArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args := tableArgs()
		change(args)
		return components.NewEncryptedTable(ctx, name, args, opts...)
	}
}

func byCategory() components.TableIndex {
	return components.TableIndex{
		Name: "by-category", HashKey: components.TableKey{Name: "userId"}, RangeKey: components.TableKey{Name: "category"}, Projection: "ALL",
	}
}

const tableType = "aws:dynamodb/table:Table"

func TestEncryptedTable(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewEncryptedTable(ctx, name, nil, opts...)
	}, []string{"HashKey.Name", "Key", "Name"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return tableBuild(func(a *components.EncryptedTableArgs) { a.Place, a.Tags = p, tags })
	})
	cases := []struct {
		name      string
		change    func(*components.EncryptedTableArgs)
		arguments []string
	}{
		{"name short", func(a *components.EncryptedTableArgs) { a.Name = "ab" }, []string{"Name"}},
		{"name long", func(a *components.EncryptedTableArgs) { a.Name = long(256) }, []string{"Name"}},
		{"name with slash", func(a *components.EncryptedTableArgs) { a.Name = "a/b/c" }, []string{"Name"}},
		{"key is an alias", func(a *components.EncryptedTableArgs) { a.Key = components.Known("alias/data") }, []string{"Key"}},
		{"hash key type", func(a *components.EncryptedTableArgs) { a.HashKey.Type = "STRING" }, []string{"HashKey.Type"}},
		{"range key without name", func(a *components.EncryptedTableArgs) { a.RangeKey = components.TableKey{Type: "N"} }, []string{"RangeKey.Name"}},
		{"range key is hash key", func(a *components.EncryptedTableArgs) { a.RangeKey = a.HashKey }, []string{"RangeKey"}},
		{"key name too long", func(a *components.EncryptedTableArgs) { a.HashKey.Name = long(256) }, []string{"HashKey.Name"}},
		{"recovery too long", func(a *components.EncryptedTableArgs) { a.RecoveryDays = 36 }, []string{"RecoveryDays"}},
		{"recovery negative", func(a *components.EncryptedTableArgs) { a.RecoveryDays = -1 }, []string{"RecoveryDays"}},
		{"recovery contradicts itself", func(a *components.EncryptedTableArgs) { a.NoRecovery, a.RecoveryDays = true, 7 }, []string{"RecoveryDays"}},
		{"stream", func(a *components.EncryptedTableArgs) { a.Stream = "BOTH" }, []string{"Stream"}},
		{"ttl too long", func(a *components.EncryptedTableArgs) { a.TTLAttribute = long(256) }, []string{"TTLAttribute"}},
		{"ttl is a string key", func(a *components.EncryptedTableArgs) { a.TTLAttribute = "userId" }, []string{"TTLAttribute"}},
		{"ceilings", func(a *components.EncryptedTableArgs) { a.MaxReadUnits, a.MaxWriteUnits = -1, -1 }, []string{"MaxReadUnits", "MaxWriteUnits"}},
		{"index twice", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory(), byCategory()}
		}, []string{"Indexes"}},
		{"index with nothing", func(a *components.EncryptedTableArgs) { a.Indexes = make([]components.TableIndex, 1) },
			[]string{"Indexes[0].HashKey.Name", "Indexes[0].Name", "Indexes[0].Projection"}},
		{"index projection", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory()}
			a.Indexes[0].Projection = "all"
		}, []string{"Indexes[0].Projection"}},
		{"index includes nothing", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory()}
			a.Indexes[0].Projection = "INCLUDE"
		}, []string{"Indexes[0].Attributes"}},
		{"index includes beside ALL", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory()}
			a.Indexes[0].Attributes = []string{"amount"}
		}, []string{"Indexes[0].Attributes"}},
		{"index includes too much", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory()}
			a.Indexes[0].Projection, a.Indexes[0].Attributes = "INCLUDE", make([]string, 21)
		}, []string{"Indexes[0].Attributes"}},
		{"attribute of two types", func(a *components.EncryptedTableArgs) {
			a.Indexes = []components.TableIndex{byCategory()}
			a.Indexes[0].HashKey.Type = "N"
		}, []string{"Indexes"}},
		{"too many indexes", func(a *components.EncryptedTableArgs) {
			for i := range 21 {
				index := byCategory()
				index.Name = fmt.Sprintf("index-%02d", i)
				a.Indexes = append(a.Indexes, index)
			}
		}, []string{"Indexes"}},
		{"everything at once", func(a *components.EncryptedTableArgs) {
			a.Name, a.Stream, a.RecoveryDays, a.MaxReadUnits, a.Key = "", "x", 99, -5, components.Text{}
		}, []string{"Key", "MaxReadUnits", "Name", "RecoveryDays", "Stream"}},
	}
	for _, c := range cases {
		bad = append(bad, componenttest.Bad{Name: c.name, Build: tableBuild(c.change), Arguments: c.arguments})
	}
	componenttest.Run(t, componenttest.Case{
		Type: "EncryptedTable", Outputs: []string{"streamArn", "tableArn", "tableName"}, Bad: bad,
		Least: tableBuild(func(*components.EncryptedTableArgs) {}),
		Full: tableBuild(func(a *components.EncryptedTableArgs) {
			a.Tags, a.RangeKey, a.TTLAttribute, a.Stream = componenttest.Tags(), components.TableKey{Name: "createdAt", Type: "N"}, "expiresAt", "NEW_AND_OLD_IMAGES"
			a.RecoveryDays, a.MaxReadUnits, a.MaxWriteUnits, a.AllowDestroy = 7, 100, 50, true
			byAmount := components.TableIndex{Name: "by-amount", HashKey: components.TableKey{Name: "amount", Type: "N"}, Projection: "INCLUDE", Attributes: []string{"note", "date"}}
			a.Indexes = []components.TableIndex{byCategory(), byAmount}
		}),
		Safe: []componenttest.Expect{
			{Type: tableType, Path: "deletionProtectionEnabled", Value: true},
			{Type: tableType, Path: "pointInTimeRecovery.enabled", Value: true},
			{Type: tableType, Path: "pointInTimeRecovery.recoveryPeriodInDays", Value: 35.0},
			{Type: tableType, Path: "serverSideEncryption.enabled", Value: true},
			{Type: tableType, Path: "serverSideEncryption.kmsKeyArn", Value: keyARN},
			{Type: tableType, Path: "billingMode", Value: "PAY_PER_REQUEST"},
			{Type: tableType, Path: "attributes.0.type", Value: "S"},
			{Type: tableType, Path: "streamEnabled"},
			{Type: tableType, Path: "ttl"},
			{Type: tableType, Path: "onDemandThroughput"},
			{Type: "aws:dynamodb/resourcePolicy:ResourcePolicy", Path: "policy", Value: `{"Statement":[{"Action":["dynamodb:*"],"Condition":{"Bool":{"aws:SecureTransport":["false"]}},"Effect":"Deny","Principal":{"AWS":"*"},"Resource":["arn:aws:dynamodb:eu-west-2:111122223333:table/expenzez-test-transactions","arn:aws:dynamodb:eu-west-2:111122223333:table/expenzez-test-transactions/index/*"],"Sid":"DenyPlainHTTP"}],"Version":"2012-10-17"}`},
		},
		Applied: []componenttest.Expect{
			{Type: tableType, Path: "deletionProtectionEnabled", Value: false},
			{Type: tableType, Path: "pointInTimeRecovery.recoveryPeriodInDays", Value: 7.0},
			{Type: tableType, Path: "ttl", Value: map[string]any{"attributeName": "expiresAt", "enabled": true}},
			{Type: tableType, Path: "streamViewType", Value: "NEW_AND_OLD_IMAGES"},
			{Type: tableType, Path: "onDemandThroughput", Value: map[string]any{"maxReadRequestUnits": 100.0, "maxWriteRequestUnits": 50.0}},
			{Type: tableType, Path: "globalSecondaryIndexes.0.name", Value: "by-amount"},
			{Type: tableType, Path: "globalSecondaryIndexes.0.nonKeyAttributes", Value: []any{"date", "note"}},
			{Type: tableType, Path: "globalSecondaryIndexes.0.onDemandThroughput.maxWriteRequestUnits", Value: 50.0},
			{Type: tableType, Path: "attributes", Value: []any{
				map[string]any{"name": "amount", "type": "N"}, map[string]any{"name": "category", "type": "S"},
				map[string]any{"name": "createdAt", "type": "N"}, map[string]any{"name": "userId", "type": "S"},
			}},
		},
	})
}

func TestEncryptedTableWithoutRecovery(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := tableBuild(func(a *components.EncryptedTableArgs) { a.NoRecovery = true })(ctx, "table")
		return err
	})
	assert.Equal(t, map[string]any{"enabled": false}, only(t, r, tableType).Inputs["pointInTimeRecovery"])
}

func TestEncryptedTableHasOneCeilingOnly(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := tableBuild(func(a *components.EncryptedTableArgs) { a.MaxReadUnits = 10 })(ctx, "table")
		return err
	})
	assert.Equal(t, map[string]any{"maxReadRequestUnits": 10.0, "maxWriteRequestUnits": -1.0}, only(t, r, tableType).Inputs["onDemandThroughput"])
}

func TestEncryptedTableProtection(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]bool{"by default": false, "allowed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(ctx *pulumi.Context) error {
				_, err := tableBuild(func(a *components.EncryptedTableArgs) { a.AllowDestroy = allow })(ctx, "table")
				return err
			})
			assert.Equal(t, !allow, only(t, r, tableType).Protect)
		})
	}
}

// grantsOf gives the policy of a role that has what a table grants.
func grantsOf(grants func(*components.EncryptedTable) []components.Grant) (string, error) {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		args := tableArgs()
		args.Indexes = []components.TableIndex{byCategory()}
		table, err := components.NewEncryptedTable(ctx, "table", args)
		if err != nil {
			return err
		}
		_, err = roleWith(ctx, grants(table)...)
		return err
	})
	if err != nil {
		return "", err
	}
	return r.OfType("aws:iam/rolePolicy:RolePolicy")[0].Inputs["policy"].(string), nil
}

func TestEncryptedTableGrants(t *testing.T) {
	t.Parallel()
	const (
		arn     = "arn:aws:dynamodb:eu-west-2:111122223333:table/expenzez-test-transactions"
		context = `"Condition":{"StringEquals":{"kms:EncryptionContext:aws:dynamodb:subscriberId":["111122223333"],"kms:EncryptionContext:aws:dynamodb:tableName":["expenzez-test-transactions"],"kms:ViaService":["dynamodb.eu-west-2.amazonaws.com"]}},"Effect":"Allow","Resource":["` + keyARN + `"]`
		read    = `{"Action":["kms:Decrypt"],` + context + `}`
		write   = `{"Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey","kms:ReEncryptFrom","kms:ReEncryptTo"],` + context + `}`
	)
	allow := func(actions, resource string) string {
		return `{"Action":[` + actions + `],"Effect":"Allow","Resource":["` + resource + `"]}`
	}
	cases := map[string]struct {
		grants func(*components.EncryptedTable) []components.Grant
		want   string
	}{
		"read": {func(t *components.EncryptedTable) []components.Grant { return t.Grant("Query", "dynamodb:GetItem") },
			allow(`"dynamodb:GetItem","dynamodb:Query"`, arn) + "," + read},
		"write": {func(t *components.EncryptedTable) []components.Grant { return t.Grant("PutItem") }, allow(`"dynamodb:PutItem"`, arn) + "," + write},
		"index": {func(t *components.EncryptedTable) []components.Grant { return t.GrantIndex("by-category", "Query") },
			allow(`"dynamodb:Query"`, arn+"/index/by-category") + "," + read},
		"table and index are one statement": {func(t *components.EncryptedTable) []components.Grant {
			return append(t.Grant("Query"), t.GrantIndex("by-category", "Query")...)
		}, allow(`"dynamodb:Query"`, arn+`","`+arn+"/index/by-category") + "," + read},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy, err := grantsOf(c.grants)
			require.NoError(t, err)
			assert.Equal(t, `{"Statement":[`+c.want+`],"Version":"2012-10-17"}`, policy)
		})
	}
}

func TestEncryptedTableBadGrantsReachNoRole(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		grants  func(*components.EncryptedTable) []components.Grant
		problem string
	}{
		"no action":       {func(t *components.EncryptedTable) []components.Grant { return t.Grant() }, "must name at least one action"},
		"every action":    {func(t *components.EncryptedTable) []components.Grant { return t.Grant("*") }, "must not have a wildcard"},
		"no such action":  {func(t *components.EncryptedTable) []components.Grant { return t.Grant("Get") }, "is no action of dynamodb"},
		"other service":   {func(t *components.EncryptedTable) []components.Grant { return t.Grant("kms:Decrypt") }, "is no action of dynamodb"},
		"no such index":   {func(t *components.EncryptedTable) []components.Grant { return t.GrantIndex("by-date", "Query") }, `GrantIndex names "by-date"`},
		"all indexes":     {func(t *components.EncryptedTable) []components.Grant { return t.GrantIndex("*", "Query") }, `GrantIndex names "*"`},
		"index has no it": {func(t *components.EncryptedTable) []components.Grant { return t.GrantIndex("by-category", "GetItem") }, "which indexes do not have"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := grantsOf(c.grants)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func ExampleNewEncryptedTable() {
	r, err := componenttest.Record(func(ctx *pulumi.Context) error {
		orders, err := components.NewEncryptedTable(ctx, "orders", &components.EncryptedTableArgs{
			Place:        components.Place{Account: "111122223333", Region: "eu-west-2"},
			Name:         "shop-prod-orders",
			HashKey:      components.TableKey{Name: "customerId"},
			RangeKey:     components.TableKey{Name: "orderedAt", Type: "N"},
			TTLAttribute: "expiresAt",
			Key:          components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd"),
		})
		if err != nil {
			return err
		}
		fmt.Println(orders.ARN())
		return nil
	})
	fmt.Println(err, r.OfType("aws:dynamodb/table:Table")[0].Inputs["deletionProtectionEnabled"])
	// Output:
	// arn:aws:dynamodb:eu-west-2:111122223333:table/shop-prod-orders
	// <nil> true
}
