package stream

import (
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// Item is the image of a stream record as the SDK writes items, values of all types, as deep as they go. Numbers stay as
// they are written, sets keep their order, empty ones too. It shares memory with the image. No image, which is what the
// record of a new or deleted item has for its other one, is a nil item.
func Item(image map[string]events.DynamoDBAttributeValue) (item store.Item, err error) {
	defer func() {
		if p := recover(); p != nil { // a value that was never decoded has no type
			item, err = nil, errors.New("stream: a value without a type")
		}
	}()
	return attributes(image)
}

func attributes(image map[string]events.DynamoDBAttributeValue) (store.Item, error) {
	if image == nil {
		return nil, nil
	}
	item := make(store.Item, len(image))
	for name, v := range image {
		var err error
		if item[name], err = attribute(v); err != nil {
			return nil, err
		}
	}
	return item, nil
}

func attribute(v events.DynamoDBAttributeValue) (types.AttributeValue, error) {
	switch v.DataType() {
	case events.DataTypeString:
		return store.S(v.String()), nil
	case events.DataTypeNumber:
		return &types.AttributeValueMemberN{Value: v.Number()}, nil
	case events.DataTypeBinary:
		return store.B(v.Binary()), nil
	case events.DataTypeBoolean:
		return store.Bool(v.Boolean()), nil
	case events.DataTypeNull:
		return &types.AttributeValueMemberNULL{Value: true}, nil
	case events.DataTypeList:
		list := make([]types.AttributeValue, len(v.List()))
		for i, element := range v.List() {
			var err error
			if list[i], err = attribute(element); err != nil {
				return nil, err
			}
		}
		return &types.AttributeValueMemberL{Value: list}, nil
	case events.DataTypeMap:
		m, err := attributes(v.Map())
		return &types.AttributeValueMemberM{Value: m}, err
	case events.DataTypeStringSet:
		return &types.AttributeValueMemberSS{Value: v.StringSet()}, nil
	case events.DataTypeNumberSet:
		return &types.AttributeValueMemberNS{Value: v.NumberSet()}, nil
	case events.DataTypeBinarySet:
		return &types.AttributeValueMemberBS{Value: v.BinarySet()}, nil
	}
	return nil, fmt.Errorf("stream: a value of the unknown type %d", v.DataType())
}
