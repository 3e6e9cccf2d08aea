package provider

import (
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeTable       = "aws:dynamodb/table:Table"
	typeTablePolicy = "aws:dynamodb/resourcePolicy:ResourcePolicy"
	tableNameForm   = `^[a-zA-Z0-9_.-]+$`
	tableNameShape  = "letters, digits and _ . -"
)

// table is a DynamoDB table. Limits: DynamoDB Developer Guide, "Quotas in Amazon DynamoDB"; API reference, CreateTable.
func table() resourceType {
	units := func() property { return aNumber().from(-1, 1e9) }
	throughput := anObject(map[string]property{"maxReadRequestUnits": units(), "maxWriteRequestUnits": units()})
	return resourceType{
		token: typeTable,
		props: map[string]property{
			"attributes": setOf(anObject(map[string]property{
				"name": aText().must().from(1, 255), "type": aText().must().oneOf("S", "N", "B"),
			})),
			"billingMode":               aText().oneOf("PROVISIONED", "PAY_PER_REQUEST").or(text("PROVISIONED")),
			"deletionProtectionEnabled": aFlag(),
			"globalSecondaryIndexes": setOf(anObject(map[string]property{
				"hashKey": aText().must(), "name": aText().must().from(3, 255).like(tableNameForm, tableNameShape),
				"nonKeyAttributes": setOf(aText()), "onDemandThroughput": throughput,
				"projectionType": aText().must().oneOf("ALL", "KEYS_ONLY", "INCLUDE"), "rangeKey": aText(),
				"readCapacity": aNumber().from(0, 1e9), "writeCapacity": aNumber().from(0, 1e9),
			})).from(0, 20),
			"hashKey":     aText().fixed(),
			"importTable": anObject(importFields()).not("restoreSourceName").fixed(),
			"localSecondaryIndexes": setOf(anObject(map[string]property{
				"name":             aText().must().from(3, 255).like(tableNameForm, tableNameShape),
				"nonKeyAttributes": listOf(aText()), "projectionType": aText().must().oneOf("ALL", "KEYS_ONLY", "INCLUDE"),
				"rangeKey": aText().must(),
			})).from(0, 5).fixed(),
			"name":               aText().from(3, 255).like(tableNameForm, tableNameShape).fixed(),
			"onDemandThroughput": throughput,
			"pointInTimeRecovery": anObject(map[string]property{
				"enabled": aFlag().must(), "recoveryPeriodInDays": aNumber().from(1, 35).byAWS(),
			}),
			"rangeKey":      aText().fixed(),
			"readCapacity":  aNumber().from(0, 1e9).byAWS(),
			"writeCapacity": aNumber().from(0, 1e9).byAWS(),
			"replicas": setOf(anObject(map[string]property{
				"arn": aText(), "kmsKeyArn": anARN(), "pointInTimeRecovery": aFlag(), "propagateTags": aFlag(),
				"regionName": aText().must(), "streamArn": aText(), "streamLabel": aText(),
			})),
			"restoreDateTime":       aText().fixed(),
			"restoreSourceName":     aText().fixed(),
			"restoreSourceTableArn": anARN().fixed(),
			"restoreToLatestTime":   aFlag().fixed(),
			"serverSideEncryption":  anObject(map[string]property{"enabled": aFlag().must(), "kmsKeyArn": anARN().byAWS()}).byAWS(),
			"streamEnabled":         aFlag(),
			"streamViewType":        aText().oneOf("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY").byAWS(),
			"tableClass":            aText().oneOf("STANDARD", "STANDARD_INFREQUENT_ACCESS").or(text("STANDARD")),
			"ttl":                   anObject(map[string]property{"attributeName": aText().from(0, 255), "enabled": aFlag()}),
		},
		outputs:  []string{"arn", "streamArn", "streamLabel"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 255},
		tagged:   true,
		check:    checkTable,
		moves:    tableMoves,
		create:   createTable,
		read:     readTable,
		update:   updateTable,
		remove:   removeTable,
	}
}

func importFields() map[string]property {
	return map[string]property{
		"inputCompressionType": aText().oneOf("GZIP", "ZSTD", "NONE"),
		"inputFormat":          aText().must().oneOf("DYNAMODB_JSON", "ION", "CSV"),
		"inputFormatOptions": anObject(map[string]property{
			"csv": anObject(map[string]property{"delimiter": aText(), "headerLists": setOf(aText())}),
		}),
		"s3BucketSource": anObject(map[string]property{"bucket": aText().must(), "bucketOwner": aText(), "keyPrefix": aText()}).must(),
	}
}

func checkTable(_ *cloud, in bag) []problem {
	var out []problem
	for _, k := range []string{"replicas", "importTable", "restoreSourceName", "restoreSourceTableArn"} {
		if has(in, k) && !absent(in[resource.PropertyKey(k)]) {
			out = append(out, problemf(k, "cannot be held by the local cloud: leave it out here"))
		}
	}
	if !has(in, "hashKey") {
		out = append(out, problemf("hashKey", "is required: name the partition key"))
	}
	if getBool(in, "streamEnabled") && !has(in, "streamViewType") {
		out = append(out, problemf("streamViewType", "is required when streamEnabled is true"))
	}
	if ttl := getBag(in, "ttl"); getBool(ttl, "enabled") && known(ttl, "attributeName") && getText(ttl, "attributeName") == "" {
		out = append(out, problemf("ttl.attributeName", "is required when ttl is enabled"))
	}
	if getBool(in, "restoreToLatestTime") || has(in, "restoreDateTime") {
		out = append(out, problemf("restoreToLatestTime", "needs a source to restore from"))
	}
	out = append(out, checkCapacity(in)...)
	out = append(out, checkIndexes(in)...)
	return append(out, checkAttributes(in)...)
}

// checkCapacity wants capacities with PROVISIONED, and ceilings only with PAY_PER_REQUEST.
func checkCapacity(in bag) []problem {
	if !known(in, "billingMode") {
		return nil
	}
	provisioned := getText(in, "billingMode") == "PROVISIONED"
	var out []problem
	need := func(path string, b bag) {
		for _, k := range []string{"readCapacity", "writeCapacity"} {
			if known(b, k) && provisioned && getNumber(b, k) < 1 {
				out = append(out, problemf(join(path, k), "must be at least 1 with billingMode PROVISIONED"))
			}
		}
		if provisioned && has(b, "onDemandThroughput") {
			out = append(out, problemf(join(path, "onDemandThroughput"), "needs billingMode PAY_PER_REQUEST"))
		}
	}
	need("", in)
	for i, gsi := range getBags(in, "globalSecondaryIndexes") {
		need(fmt.Sprintf("globalSecondaryIndexes[%d]", i), gsi)
	}
	return out
}

func checkIndexes(in bag) []problem {
	var out []problem
	names, projected := map[string]bool{}, 0
	for _, list := range []string{"globalSecondaryIndexes", "localSecondaryIndexes"} {
		for i, index := range getBags(in, list) {
			at := fmt.Sprintf("%s[%d]", list, i)
			name, extra := getText(index, "name"), len(getList(index, "nonKeyAttributes"))
			if name != "" && names[name] {
				out = append(out, problemf(at+".name", "repeats %q: an index name must be unique in its table", name))
			}
			names[name] = true
			projected += extra
			if including := getText(index, "projectionType") == "INCLUDE"; known(index, "projectionType", "nonKeyAttributes") && including != (extra > 0) {
				out = append(out, problemf(at+".nonKeyAttributes", "must be set with projectionType INCLUDE, and only then"))
			}
		}
	}
	if projected > 100 {
		out = append(out, problemf("nonKeyAttributes", "of all indexes are %d together: AWS allows 100", projected))
	}
	if len(getList(in, "localSecondaryIndexes")) > 0 && !has(in, "rangeKey") {
		out = append(out, problemf("localSecondaryIndexes", "need a rangeKey of the table"))
	}
	return out
}

// checkAttributes wants exactly the attributes that keys use, as CreateTable does.
func checkAttributes(in bag) []problem {
	if !known(in, "attributes", "hashKey", "rangeKey", "globalSecondaryIndexes", "localSecondaryIndexes") {
		return nil
	}
	used := []string{}
	for _, b := range slices.Concat([]bag{in}, getBags(in, "globalSecondaryIndexes"), getBags(in, "localSecondaryIndexes")) {
		for _, k := range []string{"hashKey", "rangeKey"} {
			if name := getText(b, k); name != "" {
				used = appendOnce(used, name)
			}
		}
	}
	var out []problem
	defined := []string{}
	for _, a := range getBags(in, "attributes") {
		name := getText(a, "name")
		if slices.Contains(defined, name) {
			out = append(out, problemf("attributes", "define %q twice", name))
		}
		defined = append(defined, name)
		if !slices.Contains(used, name) {
			out = append(out, problemf("attributes", "define %q, which no key of the table or of an index uses: all attributes must be indexed", name))
		}
	}
	for _, name := range used {
		if !slices.Contains(defined, name) {
			out = append(out, problemf("attributes", "do not define %q, which a key uses", name))
		}
	}
	return out
}

func tableMoves(old, in bag) []string {
	if getBool(old, "streamEnabled") != getBool(in, "streamEnabled") || getText(old, "streamViewType") != getText(in, "streamViewType") {
		return []string{"streamArn", "streamLabel"}
	}
	return nil
}

func keySchema(b bag, hashKey string) []types.KeySchemaElement {
	out := []types.KeySchemaElement{{AttributeName: aws.String(hashKey), KeyType: types.KeyTypeHash}}
	if name := getText(b, "rangeKey"); name != "" {
		out = append(out, types.KeySchemaElement{AttributeName: aws.String(name), KeyType: types.KeyTypeRange})
	}
	return out
}

func projection(b bag) *types.Projection {
	return &types.Projection{ProjectionType: types.ProjectionType(getText(b, "projectionType")), NonKeyAttributes: getTexts(b, "nonKeyAttributes")}
}

func attributeDefinitions(in bag) []types.AttributeDefinition {
	var out []types.AttributeDefinition
	for _, a := range getBags(in, "attributes") {
		out = append(out, types.AttributeDefinition{AttributeName: aws.String(getText(a, "name")), AttributeType: types.ScalarAttributeType(getText(a, "type"))})
	}
	return out
}

// provisioned is the capacity of a table or index; nil with on-demand billing.
func provisioned(b bag, mode types.BillingMode) *types.ProvisionedThroughput {
	if mode != types.BillingModeProvisioned {
		return nil
	}
	return &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(int64(getNumber(b, "readCapacity"))), WriteCapacityUnits: aws.Int64(int64(getNumber(b, "writeCapacity")))}
}

func globalIndex(b bag, mode types.BillingMode) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName: aws.String(getText(b, "name")), KeySchema: keySchema(b, getText(b, "hashKey")),
		Projection: projection(b), ProvisionedThroughput: provisioned(b, mode),
	}
}

func streamSpec(in bag) *types.StreamSpecification {
	if !getBool(in, "streamEnabled") {
		return &types.StreamSpecification{StreamEnabled: aws.Bool(false)}
	}
	return &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewType(getText(in, "streamViewType"))}
}

func tableTags(in bag) []types.Tag {
	var out []types.Tag
	tags := getDictionary(in, "tagsAll")
	for _, k := range sortedKeys(tags) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

func createTable(o *op) (string, bag, error) {
	name, mode := getText(o.in, "name"), types.BillingMode(getText(o.in, "billingMode"))
	in := &dynamodb.CreateTableInput{
		TableName: &name, AttributeDefinitions: attributeDefinitions(o.in), KeySchema: keySchema(o.in, getText(o.in, "hashKey")),
		BillingMode: mode, ProvisionedThroughput: provisioned(o.in, mode), TableClass: types.TableClass(getText(o.in, "tableClass")),
		DeletionProtectionEnabled: aws.Bool(getBool(o.in, "deletionProtectionEnabled")), Tags: tableTags(o.in),
	}
	for _, b := range getBags(o.in, "globalSecondaryIndexes") {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, globalIndex(b, mode))
	}
	for _, b := range getBags(o.in, "localSecondaryIndexes") {
		in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, types.LocalSecondaryIndex{
			IndexName: aws.String(getText(b, "name")), KeySchema: keySchema(b, getText(o.in, "hashKey")), Projection: projection(b),
		})
	}
	if getBool(o.in, "streamEnabled") {
		in.StreamSpecification = streamSpec(o.in)
	}
	if sse := getBag(o.in, "serverSideEncryption"); getBool(sse, "enabled") {
		if err := o.checkKeyARN(getText(sse, "kmsKeyArn")); err != nil {
			return "", nil, err
		}
		in.SSESpecification = &types.SSESpecification{Enabled: aws.Bool(true), SSEType: types.SSETypeKms, KMSMasterKeyId: optional(sse, "kmsKeyArn")}
	}
	made, err := o.tables.CreateTable(o, in)
	if err != nil {
		return "", nil, err
	}
	added := tableOutputs(made.TableDescription)
	if mode != types.BillingModeProvisioned {
		set(added, "readCapacity", number(0))
		set(added, "writeCapacity", number(0))
	}
	return name, added, o.setTableExtras()
}

func tableOutputs(t *types.TableDescription) bag {
	return bag{
		"arn": text(aws.ToString(t.TableArn)), "streamArn": text(aws.ToString(t.LatestStreamArn)), "streamLabel": text(aws.ToString(t.LatestStreamLabel)),
	}
}

// setTableExtras sets what CreateTable cannot: expiry and point-in-time recovery. It changes only what differs, so that
// an update that broke off can be run again.
func (o *op) setTableExtras() error {
	name := getText(o.in, "name")
	ttl := getBag(o.in, "ttl")
	live, err := o.liveTTL(name)
	if err != nil {
		return err
	}
	if getBool(ttl, "enabled") != getBool(live, "enabled") {
		attribute := getText(ttl, "attributeName")
		if attribute == "" {
			attribute = getText(live, "attributeName")
		}
		_, err := o.tables.UpdateTimeToLive(o, &dynamodb.UpdateTimeToLiveInput{TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: &attribute, Enabled: aws.Bool(getBool(ttl, "enabled")),
		}})
		if err != nil {
			return err
		}
	} else if getBool(ttl, "enabled") && getText(ttl, "attributeName") != getText(live, "attributeName") {
		return denyf("ValidationException", "TimeToLive is active on a different AttributeName: current AttributeName is %s; disable it first", getText(live, "attributeName"))
	}
	return o.setRecovery(name)
}

func (o *op) setRecovery(name string) error {
	wanted := getBag(o.in, "pointInTimeRecovery")
	live, err := o.liveRecovery(name)
	if err != nil {
		return err
	}
	days := orNumber(getNumber(wanted, "recoveryPeriodInDays"), 35)
	if getBool(wanted, "enabled") == getBool(live, "enabled") && (!getBool(wanted, "enabled") || days == getNumber(live, "recoveryPeriodInDays")) {
		return nil
	}
	spec := &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(getBool(wanted, "enabled"))}
	if getBool(wanted, "enabled") {
		spec.RecoveryPeriodInDays = aws.Int32(int32(days))
	}
	_, err = o.tables.UpdateContinuousBackups(o, &dynamodb.UpdateContinuousBackupsInput{TableName: &name, PointInTimeRecoverySpecification: spec})
	return err
}

func (o *op) liveTTL(name string) (bag, error) {
	live, err := o.tables.DescribeTimeToLive(o, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return nil, err
	}
	enabled := live.TimeToLiveDescription.TimeToLiveStatus == types.TimeToLiveStatusEnabled
	return bag{"enabled": boolean(enabled), "attributeName": text(aws.ToString(live.TimeToLiveDescription.AttributeName))}, nil
}

func (o *op) liveRecovery(name string) (bag, error) {
	live, err := o.tables.DescribeContinuousBackups(o, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
	if err != nil {
		return nil, err
	}
	recovery := live.ContinuousBackupsDescription.PointInTimeRecoveryDescription
	out := bag{"enabled": boolean(recovery.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled)}
	if recovery.RecoveryPeriodInDays != nil {
		set(out, "recoveryPeriodInDays", number(float64(*recovery.RecoveryPeriodInDays)))
	}
	return out, nil
}

func (o *op) liveTable(name string) (*types.TableDescription, bool, error) {
	live, err := o.tables.DescribeTable(o, &dynamodb.DescribeTableInput{TableName: &name})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return live.Table, true, nil
}

func readTable(o *op) (bag, bool, error) {
	live, found, err := o.liveTable(o.id)
	if !found {
		return nil, false, err
	}
	ttl, err := o.liveTTL(o.id)
	if err != nil {
		return nil, false, err
	}
	recovery, err := o.liveRecovery(o.id)
	if err != nil {
		return nil, false, err
	}
	tags, err := o.tables.ListTagsOfResource(o, &dynamodb.ListTagsOfResourceInput{ResourceArn: live.TableArn})
	if err != nil {
		return nil, false, err
	}
	liveTags := map[string]string{}
	for _, t := range tags.Tags {
		liveTags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if !getBool(ttl, "enabled") {
		// AWS keeps no attribute name for a table without expiry; the program's own spelling stays.
		ttl = bag{"enabled": boolean(false), "attributeName": text(getText(getBag(o.old, "ttl"), "attributeName"))}
	}
	out := describedTable(live)
	o.keepUnheld(out)
	out["ttl"], out["pointInTimeRecovery"], out["tagsAll"] = object(ttl), object(recovery), dictionary(liveTags)
	if !has(getBag(o.old, "pointInTimeRecovery"), "recoveryPeriodInDays") && getNumber(recovery, "recoveryPeriodInDays") == 35 {
		delete(recovery, "recoveryPeriodInDays")
	}
	return out, true, nil
}

// keepUnheld puts back what the emulator does not hold, so that it is not taken for a change made there.
func (o *op) keepUnheld(out bag) {
	before := map[string]bag{}
	for _, b := range getBags(o.old, "globalSecondaryIndexes") {
		before[getText(b, "name")] = b
	}
	for _, b := range getBags(out, "globalSecondaryIndexes") {
		if old := before[getText(b, "name")]; has(old, "onDemandThroughput") {
			set(b, "onDemandThroughput", old["onDemandThroughput"])
		}
	}
	if sse := getBag(out, "serverSideEncryption"); sse != nil && !has(getBag(o.old, "serverSideEncryption"), "kmsKeyArn") {
		delete(sse, "kmsKeyArn")
	}
}

// describedTable is a table in the words of the provider's inputs and outputs.
func describedTable(t *types.TableDescription) bag {
	out := tableOutputs(t)
	mode := types.BillingModeProvisioned
	if t.BillingModeSummary != nil {
		mode = t.BillingModeSummary.BillingMode
	}
	hash, sort := keysOf(t.KeySchema)
	set(out, "name", text(aws.ToString(t.TableName)))
	set(out, "billingMode", text(string(mode)))
	set(out, "hashKey", text(hash))
	set(out, "rangeKey", text(sort))
	set(out, "deletionProtectionEnabled", boolean(aws.ToBool(t.DeletionProtectionEnabled)))
	streaming := t.StreamSpecification != nil && aws.ToBool(t.StreamSpecification.StreamEnabled)
	set(out, "streamEnabled", boolean(streaming))
	if streaming {
		set(out, "streamViewType", text(string(t.StreamSpecification.StreamViewType)))
	}
	var attributes []value
	for _, a := range t.AttributeDefinitions {
		attributes = append(attributes, object(bag{"name": text(aws.ToString(a.AttributeName)), "type": text(string(a.AttributeType))}))
	}
	set(out, "attributes", list(attributes...))
	set(out, "globalSecondaryIndexes", list(describedIndexes(t.GlobalSecondaryIndexes, mode)...))
	if sse := t.SSEDescription; sse != nil && sse.Status == types.SSEStatusEnabled {
		set(out, "serverSideEncryption", object(bag{"enabled": boolean(true), "kmsKeyArn": text(aws.ToString(sse.KMSMasterKeyArn))}))
	}
	if mode == types.BillingModeProvisioned && t.ProvisionedThroughput != nil {
		set(out, "readCapacity", number(float64(aws.ToInt64(t.ProvisionedThroughput.ReadCapacityUnits))))
		set(out, "writeCapacity", number(float64(aws.ToInt64(t.ProvisionedThroughput.WriteCapacityUnits))))
	}
	return out
}

func keysOf(schema []types.KeySchemaElement) (hash, sort string) {
	for _, k := range schema {
		if k.KeyType == types.KeyTypeHash {
			hash = aws.ToString(k.AttributeName)
		} else {
			sort = aws.ToString(k.AttributeName)
		}
	}
	return hash, sort
}

func describedIndexes(indexes []types.GlobalSecondaryIndexDescription, mode types.BillingMode) []value {
	var out []value
	for _, i := range indexes {
		hash, sort := keysOf(i.KeySchema)
		b := bag{"name": text(aws.ToString(i.IndexName)), "hashKey": text(hash), "rangeKey": text(sort)}
		if i.Projection != nil {
			set(b, "projectionType", text(string(i.Projection.ProjectionType)))
			set(b, "nonKeyAttributes", texts(i.Projection.NonKeyAttributes...))
		}
		if mode == types.BillingModeProvisioned && i.ProvisionedThroughput != nil {
			set(b, "readCapacity", number(float64(aws.ToInt64(i.ProvisionedThroughput.ReadCapacityUnits))))
			set(b, "writeCapacity", number(float64(aws.ToInt64(i.ProvisionedThroughput.WriteCapacityUnits))))
		}
		out = append(out, object(b))
	}
	return out
}

// updateTable brings the live table to the inputs, one kind of change per call as UpdateTable demands.
func updateTable(o *op) (bag, error) {
	live, found, err := o.liveTable(o.id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, denyf("ResourceNotFoundException", "Requested resource not found: Table: %s not found", o.id)
	}
	for _, step := range []func(*types.TableDescription) error{o.updateTableStream, o.updateTableMode, o.updateTableIndexes} {
		if err := step(live); err != nil {
			return nil, err
		}
	}
	if err := o.setTableExtras(); err != nil {
		return nil, err
	}
	if err := o.updateTableTags(aws.ToString(live.TableArn)); err != nil {
		return nil, err
	}
	now, _, err := o.liveTable(o.id)
	if err != nil {
		return nil, err
	}
	return tableOutputs(now), nil
}

func (o *op) updateTableMode(live *types.TableDescription) error {
	mode := types.BillingMode(getText(o.in, "billingMode"))
	in := &dynamodb.UpdateTableInput{TableName: &o.id, DeletionProtectionEnabled: aws.Bool(getBool(o.in, "deletionProtectionEnabled"))}
	if live.BillingModeSummary == nil || live.BillingModeSummary.BillingMode != mode || mode == types.BillingModeProvisioned {
		in.BillingMode, in.ProvisionedThroughput = mode, provisioned(o.in, mode)
	}
	if sse := getBag(o.in, "serverSideEncryption"); getBool(sse, "enabled") {
		if err := o.checkKeyARN(getText(sse, "kmsKeyArn")); err != nil {
			return err
		}
		in.SSESpecification = &types.SSESpecification{Enabled: aws.Bool(true), SSEType: types.SSETypeKms, KMSMasterKeyId: optional(sse, "kmsKeyArn")}
	}
	_, err := o.tables.UpdateTable(o, in)
	return err
}

// updateTableStream turns the stream on or off. The emulator opens one stream per table in its life, so a second one or
// another view, which AWS allows, is refused before anything changes.
func (o *op) updateTableStream(live *types.TableDescription) error {
	on := live.StreamSpecification != nil && aws.ToBool(live.StreamSpecification.StreamEnabled)
	want := getBool(o.in, "streamEnabled")
	otherView := on && want && string(live.StreamSpecification.StreamViewType) != getText(o.in, "streamViewType")
	if on == want && !otherView {
		return nil
	}
	if want && live.LatestStreamArn != nil {
		return denyf("ResourceInUseException", "the local emulator cannot open another stream on table %s: start the local cloud afresh", o.id)
	}
	_, err := o.tables.UpdateTable(o, &dynamodb.UpdateTableInput{TableName: &o.id, StreamSpecification: streamSpec(o.in)})
	return err
}

// updateTableIndexes deletes and creates indexes, one per call. An index with other keys or projection is made anew.
func (o *op) updateTableIndexes(live *types.TableDescription) error {
	mode := types.BillingMode(getText(o.in, "billingMode"))
	element := *table().props["globalSecondaryIndexes"].element
	wanted, have := map[string]bag{}, map[string]value{}
	for _, b := range getBags(o.in, "globalSecondaryIndexes") {
		wanted[getText(b, "name")] = b
	}
	for _, v := range describedIndexes(live.GlobalSecondaryIndexes, mode) {
		have[getText(v.ObjectValue(), "name")] = v
	}
	for _, name := range sortedKeys(have) {
		if b, keep := wanted[name]; keep && sameIndex(element, b, have[name].ObjectValue()) {
			delete(wanted, name)
			continue
		}
		if err := o.changeIndex(types.GlobalSecondaryIndexUpdate{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: &name}}); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(wanted) {
		gsi := globalIndex(wanted[name], mode)
		err := o.changeIndex(types.GlobalSecondaryIndexUpdate{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: gsi.IndexName, KeySchema: gsi.KeySchema, Projection: gsi.Projection, ProvisionedThroughput: gsi.ProvisionedThroughput,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func sameIndex(element property, a, b bag) bool {
	for _, k := range []string{"hashKey", "rangeKey", "projectionType", "nonKeyAttributes", "readCapacity", "writeCapacity"} {
		if !same(element.fields[k], a[resource.PropertyKey(k)], b[resource.PropertyKey(k)]) {
			return false
		}
	}
	return true
}

func (o *op) changeIndex(change types.GlobalSecondaryIndexUpdate) error {
	_, err := o.tables.UpdateTable(o, &dynamodb.UpdateTableInput{
		TableName: &o.id, AttributeDefinitions: attributeDefinitions(o.in), GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{change},
	})
	return err
}

func (o *op) updateTableTags(arn string) error {
	if dropped := o.droppedTags(); len(dropped) > 0 {
		if _, err := o.tables.UntagResource(o, &dynamodb.UntagResourceInput{ResourceArn: &arn, TagKeys: dropped}); err != nil {
			return err
		}
	}
	tags := tableTags(o.in)
	if len(tags) == 0 {
		return nil
	}
	_, err := o.tables.TagResource(o, &dynamodb.TagResourceInput{ResourceArn: &arn, Tags: tags})
	return err
}

// removeTable deletes the table unless it is protected, in the words of AWS.
func removeTable(o *op) error {
	live, found, err := o.liveTable(o.id)
	if !found {
		return err
	}
	if aws.ToBool(live.DeletionProtectionEnabled) {
		return denyf("ValidationException", "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	_, err = o.tables.DeleteTable(o, &dynamodb.DeleteTableInput{TableName: &o.id})
	return err
}

// tablePolicy is the resource policy of a table. Limits: DynamoDB Developer Guide, "Resource-based policies considerations".
func tablePolicy() resourceType {
	return resourceType{
		token: typeTablePolicy,
		props: map[string]property{
			"confirmRemoveSelfResourceAccess": aFlag(),
			"policy":                          aPolicy().must(),
			"resourceArn":                     anARN().must().fixed(),
		},
		outputs:  []string{"revisionId"},
		identity: []string{"resourceArn"},
		check: func(_ *cloud, in bag) []problem {
			return checkPolicy(in, "policy", resourcePolicy, 20480)
		},
		moves: func(_, _ bag) []string { return []string{"revisionId"} },
		create: func(o *op) (string, bag, error) {
			added, err := o.putTablePolicy(getText(o.in, "resourceArn"))
			if err != nil {
				return "", nil, err
			}
			return getText(o.in, "resourceArn"), added, nil
		},
		read: func(o *op) (bag, bool, error) {
			live, err := o.tables.GetResourcePolicy(o, &dynamodb.GetResourcePolicyInput{ResourceArn: &o.id})
			if gone(err) {
				return nil, false, nil
			}
			if err != nil {
				return nil, false, err
			}
			return bag{"resourceArn": text(o.id), "policy": text(aws.ToString(live.Policy)), "revisionId": text(aws.ToString(live.RevisionId))}, true, nil
		},
		update: func(o *op) (bag, error) { return o.putTablePolicy(o.id) },
		remove: func(o *op) error {
			_, err := o.tables.DeleteResourcePolicy(o, &dynamodb.DeleteResourcePolicyInput{ResourceArn: &o.id})
			return err
		},
	}
}

func (o *op) putTablePolicy(arn string) (bag, error) {
	put, err := o.tables.PutResourcePolicy(o, &dynamodb.PutResourcePolicyInput{
		ResourceArn: &arn, Policy: aws.String(getText(o.in, "policy")), ConfirmRemoveSelfResourceAccess: getBool(o.in, "confirmRemoveSelfResourceAccess"),
	})
	if err != nil {
		return nil, err
	}
	return bag{"revisionId": text(aws.ToString(put.RevisionId))}, nil
}
