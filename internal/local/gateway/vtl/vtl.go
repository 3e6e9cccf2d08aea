// Package vtl renders API Gateway mapping templates written in a small, checked part of the Velocity Template Language.
//
// The part is what mock integrations need: text, #if #elseif #else #end, #foreach over a literal list, #set of a
// variable or of $context.responseOverride.header.<name> and .status, comments, == != && || ! and parentheses, string
// and integer literals, true and false, and the references $input.params('name'), $context.<path>,
// $stageVariables.<name> and variables set before. Everything else is refused when the template is parsed, never
// ignored, and so is what Velocity's versions treat differently (text as a condition, comparing unlike kinds), so that
// a template accepted here means the same at AWS. Rules: API Gateway Developer Guide, "Mapping template transformations
// for REST APIs" and "Variables for data transformations"; "Velocity User Guide".
package vtl

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// MaxBytes is the largest template (API Gateway Developer Guide, "Amazon API Gateway important notes").
const MaxBytes = 300 << 10

// Template is a parsed template, safe for concurrent use.
type Template struct {
	nodes   []node
	context map[string]bool
}

// Data is what references read. Each function is called only for names that the template holds.
type Data struct {
	// Param is $input.params('name'): a path, query or header parameter, in that order, or "".
	Param func(name string) string
	// Context is $context.path, such as "identity.sourceIp", or "".
	Context func(path string) string
	// StageVariable is $stageVariables.name, or "".
	StageVariable func(name string) string
}

// Output is a rendered template.
type Output struct {
	Body string
	// Headers holds what was set in $context.responseOverride.header.
	Headers map[string]string
	// Status is $context.responseOverride.status, or 0.
	Status int
}

// ContextPaths lists the $context paths that the template reads, sorted.
func (t *Template) ContextPaths() []string {
	return slices.Sorted(maps.Keys(t.context))
}

// Render fills the template in; a parsed template cannot fail.
func (t *Template) Render(d Data) Output {
	r := &renderer{Data: d, variables: map[string]any{}, out: Output{Headers: map[string]string{}}}
	r.renderAll(t.nodes)
	r.out.Body = r.body.String()
	return r.out
}

type renderer struct {
	Data
	variables map[string]any
	body      strings.Builder
	out       Output
}

func (r *renderer) renderAll(nodes []node) {
	for _, n := range nodes {
		n.render(r)
	}
}

// node is a piece of a template; an expression is a value in it: string, bool or int.
type node interface{ render(r *renderer) }

type expression interface {
	eval(r *renderer) any
	kind() kind
}

type kind string

const (
	textKind    kind = "text"
	booleanKind kind = "a boolean"
	integerKind kind = "an integer"
)

type textNode string

func (n textNode) render(r *renderer) { r.body.WriteString(string(n)) }

type printNode struct{ value expression }

func (n printNode) render(r *renderer) {
	switch v := n.value.eval(r).(type) {
	case string:
		r.body.WriteString(v)
	case int:
		r.body.WriteString(strconv.Itoa(v))
	case bool:
		r.body.WriteString(strconv.FormatBool(v))
	}
}

type setVariable struct {
	name  string
	value expression
}

func (n setVariable) render(r *renderer) { r.variables[n.name] = n.value.eval(r) }

type setHeader struct {
	name  string
	value expression
}

func (n setHeader) render(r *renderer) { r.out.Headers[n.name] = n.value.eval(r).(string) }

type setStatus struct{ value expression }

func (n setStatus) render(r *renderer) {
	// AWS ignores a status that is none.
	if status := n.value.eval(r).(int); status >= 100 && status <= 599 {
		r.out.Status = status
	}
}

type branch struct {
	condition expression // nil for #else
	body      []node
}

type ifNode []branch

func (n ifNode) render(r *renderer) {
	for _, b := range n {
		if b.condition == nil || b.condition.eval(r).(bool) {
			r.renderAll(b.body)
			return
		}
	}
}

type foreachNode struct {
	name string
	list []expression
	body []node
}

func (n foreachNode) render(r *renderer) {
	for _, item := range n.list {
		r.variables[n.name] = item.eval(r)
		r.renderAll(n.body)
	}
}

type literal struct{ value any }

func (e literal) eval(*renderer) any { return e.value }

func (e literal) kind() kind {
	switch e.value.(type) {
	case bool:
		return booleanKind
	case int:
		return integerKind
	default:
		return textKind
	}
}

type variable struct {
	name string
	of   kind
}

func (e variable) kind() kind { return e.of }

// eval gives a variable that is set on another branch only the empty value of its kind.
func (e variable) eval(r *renderer) any {
	if v, ok := r.variables[e.name]; ok {
		return v
	}
	switch e.of {
	case booleanKind:
		return false
	case integerKind:
		return 0
	default:
		return ""
	}
}

type paramReference string

func (e paramReference) kind() kind           { return textKind }
func (e paramReference) eval(r *renderer) any { return r.Param(string(e)) }

type contextReference string

func (e contextReference) kind() kind           { return textKind }
func (e contextReference) eval(r *renderer) any { return r.Context(string(e)) }

type stageReference string

func (e stageReference) kind() kind           { return textKind }
func (e stageReference) eval(r *renderer) any { return r.StageVariable(string(e)) }

type not struct{ of expression }

func (e not) kind() kind           { return booleanKind }
func (e not) eval(r *renderer) any { return !e.of.eval(r).(bool) }

type binary struct {
	operator    string
	left, right expression
}

func (e binary) kind() kind { return booleanKind }

func (e binary) eval(r *renderer) any {
	switch e.operator {
	case "==":
		return e.left.eval(r) == e.right.eval(r)
	case "!=":
		return e.left.eval(r) != e.right.eval(r)
	case "&&":
		return e.left.eval(r).(bool) && e.right.eval(r).(bool)
	default:
		return e.left.eval(r).(bool) || e.right.eval(r).(bool)
	}
}
