package service

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// OpenAPI derives the OpenAPI 3.0.1 document of the whole API: what is published for clients, and what the REST API
// is made of. It uses only what API Gateway imports (API Gateway Developer Guide, "Amazon API Gateway important
// notes"). Maps marshal sorted, so that equal declarations give equal bytes.
func OpenAPI(b Backend, title, version string) map[string]any {
	paths := map[string]any{}
	models := map[string]*Model{}
	for _, f := range b.Functions() {
		for _, r := range f.Routes {
			path, ok := paths[r.Path].(map[string]any)
			if !ok {
				path = map[string]any{}
				paths[r.Path] = path
			}
			path[strings.ToLower(r.Method)] = operation(r)
			collect(models, r.Request)
			collect(models, r.Response)
		}
	}
	collect(models, &problem)
	schemas := map[string]any{}
	for name, m := range models {
		schemas[name] = schema(*m)
	}
	return map[string]any{
		"openapi": "3.0.1",
		"info":    map[string]any{"title": title, "version": version},
		"paths":   paths,
		"components": map[string]any{
			"schemas": schemas,
			"securitySchemes": map[string]any{
				SecurityScheme: map[string]any{"type": "apiKey", "name": "Authorization", "in": "header"},
			},
		},
	}
}

// SecurityScheme is the name of the scheme of routes that need a user.
const SecurityScheme = "user"

// problem is RFC 9457's problem object with our members; errors of the gateway have the same shape.
var problem = Model{Name: "Problem", Fields: []Field{
	{Name: "type", Type: String, Required: true}, {Name: "title", Type: String, Required: true},
	{Name: "status", Type: Integer}, {Name: "code", Type: String, Required: true, Does: "Stable, for programs."},
	{Name: "detail", Type: String, Does: "For people."}, {Name: "instance", Type: String, Does: "The request's id."},
	{Name: "retryable", Type: Boolean, Does: "Whether the same request may succeed later."},
	{Name: "errors", Type: Array, Model: &Model{Name: "ProblemField", Fields: []Field{
		{Name: "pointer", Type: String, Does: "Where in the body (RFC 6901)."}, {Name: "parameter", Type: String, Does: "Which parameter of the query."},
		{Name: "code", Type: String, Required: true}, {Name: "detail", Type: String},
	}}},
}}

func operation(r Route) map[string]any {
	op := map[string]any{"operationId": r.ID, "summary": r.Does, "responses": responses(r)}
	if _, public := r.Caller.IsPublic(); !public {
		op["security"] = []any{map[string]any{SecurityScheme: []any{}}}
	}
	if params := parameters(r); len(params) > 0 {
		op["parameters"] = params
	}
	if r.Request != nil {
		op["requestBody"] = map[string]any{"required": true, "content": content("application/json", r.Request.Name)}
	}
	return op
}

func responses(r Route) map[string]any {
	ok := map[string]any{"description": "Success"}
	if r.Response != nil {
		ok["content"] = content("application/json", r.Response.Name)
	}
	return map[string]any{
		strconv.Itoa(r.Status): ok,
		"default":              map[string]any{"description": "Problem", "content": content("application/problem+json", problem.Name)},
	}
}

func content(media, model string) map[string]any {
	return map[string]any{media: map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/" + model}}}
}

// parameters lists path parameters in order, then query parameters, then headers.
func parameters(r Route) []any {
	var all []any
	for _, name := range pathParameters(r.Path) {
		all = append(all, parameter(name, "path", true, map[string]any{"type": "string"}))
	}
	for _, f := range r.Query {
		all = append(all, parameter(f.Name, "query", f.Required, fieldSchema(f)))
	}
	if r.Idempotent {
		all = append(all, parameter("Idempotency-Key", "header", true, map[string]any{"type": "string"}))
	}
	return all
}

func parameter(name, in string, required bool, schema map[string]any) map[string]any {
	return map[string]any{"name": name, "in": in, "required": required, "schema": schema}
}

func pathParameters(path string) []string {
	var all []string
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}") {
			all = append(all, part[1:len(part)-1])
		}
	}
	return all
}

func collect(into map[string]*Model, m *Model) {
	if m == nil {
		return
	}
	into[m.Name] = m
	for _, f := range m.Fields {
		collect(into, f.Model)
	}
}

func schema(m Model) map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, f := range m.Fields {
		properties[f.Name] = fieldSchema(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func fieldSchema(f Field) map[string]any {
	s := map[string]any{"type": string(f.Type)}
	bounds := map[Type][2]string{String: {"minLength", "maxLength"}, Array: {"minItems", "maxItems"}, Integer: {"minimum", "maximum"}}
	if b, ok := bounds[f.Type]; ok {
		setBound(s, b[0], f.Min)
		setBound(s, b[1], f.Max)
	}
	if f.Does != "" {
		s["description"] = f.Does
	}
	if f.Pattern != "" {
		s["pattern"] = f.Pattern
	}
	if len(f.Enum) > 0 {
		s["enum"] = anys(f.Enum)
	}
	if f.Model != nil {
		ref := map[string]any{"$ref": "#/components/schemas/" + f.Model.Name}
		if f.Type != Array {
			return ref
		}
		s["items"] = ref
	}
	return s
}

func setBound(s map[string]any, name string, n int) {
	if n != 0 {
		s[name] = n
	}
}

func anys(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

// Routes lists the API's routes sorted by path and method, for documents.
func (b Backend) Routes() []Route {
	var all []Route
	for _, f := range b.Functions() {
		all = append(all, f.Routes...)
	}
	slices.SortFunc(all, func(a, c Route) int {
		return strings.Compare(fmt.Sprint(a.Path, " ", a.Method), fmt.Sprint(c.Path, " ", c.Method))
	})
	return all
}
