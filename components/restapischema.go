package components

import (
	"fmt"
	"slices"
	"strings"
)

// schemaKeywords are those of JSON Schema draft 4, in which API Gateway's
// models are written; it refuses or ignores all others, OpenAPI's "nullable",
// "example" and "readOnly" among them (API Gateway Developer Guide, "Data
// models for REST APIs" and "Important notes").
var schemaKeywords = strings.Fields(`$ref additionalItems additionalProperties allOf anyOf default description enum exclusiveMaximum
	exclusiveMinimum format items maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf not oneOf
	pattern patternProperties properties required title type uniqueItems`)

var schemaTypes = []string{"array", "boolean", "integer", "null", "number", "object", "string"}

// checkSchema reports each keyword, at its path, that API Gateway would not enforce.
func checkSchema(c *checker, at string, value any, schemas map[string]any) {
	schema, isObject := value.(map[string]any)
	if !isObject {
		c.add(at, value, "must be a schema object", "write an object; true and false are of later drafts")
		return
	}
	for _, keyword := range sortedKeys(schema) {
		checkKeyword(c, at+"."+keyword, keyword, schema[keyword], schemas)
	}
}

func checkKeyword(c *checker, at, keyword string, value any, schemas map[string]any) {
	switch keyword {
	case "$ref":
		ref, _ := value.(string)
		if name, local := strings.CutPrefix(ref, "#/components/schemas/"); !local || schemas[name] == nil {
			c.add(at, value, "must name a schema of this document", `write "#/components/schemas/<name>"`)
		}
	case "type":
		checkType(c, at, value)
	case "exclusiveMaximum", "exclusiveMinimum":
		if _, isBool := value.(bool); !isBool {
			c.add(at, value, "is a boolean in draft 4, beside minimum or maximum", "write true and set the bound itself")
		}
	case "required":
		if list, isList := value.([]any); !isList || len(list) == 0 {
			c.add(at, value, "must be a list of at least one name in draft 4", "write the names, or remove it")
		}
	case "properties", "patternProperties":
		nested, _ := value.(map[string]any)
		for _, name := range sortedKeys(nested) {
			checkSchema(c, at+"."+name, nested[name], schemas)
		}
	case "allOf", "anyOf", "oneOf":
		list, _ := value.([]any)
		for i, item := range list {
			checkSchema(c, fmt.Sprintf("%s[%d]", at, i), item, schemas)
		}
	case "items", "not":
		checkSchema(c, at, value, schemas)
	case "additionalItems", "additionalProperties":
		if _, isBool := value.(bool); !isBool {
			checkSchema(c, at, value, schemas)
		}
	default:
		if !slices.Contains(schemaKeywords, keyword) {
			c.add(at, value, "is no keyword of JSON Schema draft 4, which API Gateway's models use", keywordRemedy(keyword))
		}
	}
}

func checkType(c *checker, at string, value any) {
	types, isList := value.([]any)
	if !isList {
		types = []any{value}
	}
	for _, t := range types {
		if name, _ := t.(string); !slices.Contains(schemaTypes, name) {
			c.add(at, t, "is no type", "use one of "+strings.Join(schemaTypes, ", "))
		}
	}
}

func keywordRemedy(keyword string) string {
	switch keyword {
	case "nullable":
		return `write "type": ["string", "null"]`
	case "const":
		return "write an enum of one value"
	case "example", "examples":
		return "put it into the description"
	}
	return "remove it, and check it in the function"
}

// checkBodies checks the request's schemas of one operation. A body is
// validated only for the content types that it declares.
func checkBodies(c *checker, at string, operation, schemas map[string]any) {
	body, has := operation["requestBody"].(map[string]any)
	if !has {
		return
	}
	content, _ := body["content"].(map[string]any)
	if len(content) == 0 {
		c.add(at+".requestBody.content", len(content), "must declare a content type", `declare "application/json" with its schema`)
	}
	for _, media := range sortedKeys(content) {
		schemaAt := at + ".requestBody.content." + media + ".schema"
		value, _ := content[media].(map[string]any)
		if value["schema"] == nil {
			c.add(schemaAt, nil, "is required: what has no schema is not validated", "describe the body")
			continue
		}
		checkSchema(c, schemaAt, value["schema"], schemas)
	}
}

func schemasOf(doc map[string]any) map[string]any {
	parts, _ := doc["components"].(map[string]any)
	schemas, _ := parts["schemas"].(map[string]any)
	return schemas
}
