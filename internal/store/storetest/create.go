package storetest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store/mem"
)

// CreateTable is the input that makes a table of a schema, on demand.
func CreateTable(s mem.Schema) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{TableName: &s.Name, BillingMode: types.BillingModePayPerRequest, KeySchema: keySchema(s.Hash, s.Range)}
	names := []string{s.Hash, s.Range}
	for _, i := range s.Indexes {
		names = append(names, i.Hash, i.Range)
		projection := &types.Projection{ProjectionType: types.ProjectionTypeAll, NonKeyAttributes: i.Attributes}
		if i.Projection != "" {
			projection.ProjectionType = i.Projection
		}
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{IndexName: &i.Name, KeySchema: keySchema(i.Hash, i.Range), Projection: projection})
	}
	defined := map[string]bool{"": true}
	for _, name := range names {
		if defined[name] {
			continue
		}
		defined[name] = true
		kind := types.ScalarAttributeTypeS
		if set, ok := s.Types[name]; ok {
			kind = set
		}
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind})
	}
	return in
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	all := []types.KeySchemaElement{{AttributeName: &hash, KeyType: types.KeyTypeHash}}
	if sort != "" {
		all = append(all, types.KeySchemaElement{AttributeName: &sort, KeyType: types.KeyTypeRange})
	}
	return all
}
