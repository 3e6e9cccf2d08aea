package mem

import (
	"slices"
	"strconv"
	"strings"
)

// operand is a path, a literal or the size of what a path leads to.
type operand struct {
	path    path
	literal value
	size    bool
}

func (o operand) in(it item) value {
	if o.path == nil {
		return o.literal
	}
	v := o.path.get(it)
	if !o.size {
		return v
	}
	if n, ok := length(v); ok {
		return &num{Value: strconv.Itoa(n)}
	}
	return nil
}

// node is a condition: op is AND, OR, NOT over kids, or a comparison or function over args.
type node struct {
	op     string
	kids   []*node
	args   []operand
	parens bool
}

// holds evaluates a condition; a nil one holds. A missing attribute differs from everything and meets nothing else.
func (n *node) holds(it item) bool {
	if n == nil {
		return true
	}
	switch n.op {
	case "AND":
		return n.kids[0].holds(it) && n.kids[1].holds(it)
	case "OR":
		return n.kids[0].holds(it) || n.kids[1].holds(it)
	case "NOT":
		return !n.kids[0].holds(it)
	}
	args := make([]value, len(n.args))
	for i, a := range n.args {
		args[i] = a.in(it)
	}
	return compare(n.op, args)
}

func compare(op string, args []value) bool {
	v := args[0]
	switch op {
	case "=":
		return equal(v, args[1])
	case "<>":
		return !equal(v, args[1])
	case "BETWEEN":
		low, high := args[1], args[len(args)-1] // the parser gives three
		return compare(">=", []value{v, low}) && compare("<=", []value{v, high})
	case "IN":
		return slices.ContainsFunc(args[1:], func(one value) bool { return equal(v, one) })
	case "attribute_exists":
		return v != nil
	case "attribute_not_exists":
		return v == nil
	case "attribute_type":
		return typeOf(v) == keyText(args[1])
	case "begins_with":
		return beginsWith(v, args[1])
	case "contains":
		return contains(v, args[1])
	}
	c, ok := order(v, args[1])
	return ok && (op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0)
}

// condition parses a condition, a filter or a key condition; nil when there is none.
func (s *scope) condition(what string, src *string) (n *node, err error) {
	if src == nil {
		return nil, nil
	}
	err = s.parse(what, *src, func(p *parser) { n = p.or() })
	return n, err
}

func (p *parser) or() *node {
	n := p.and()
	for p.keyword("OR") {
		n = &node{op: "OR", kids: []*node{n, p.and()}}
	}
	return n
}

func (p *parser) and() *node {
	n := p.not()
	for p.keyword("AND") {
		n = &node{op: "AND", kids: []*node{n, p.not()}}
	}
	return n
}

func (p *parser) not() *node {
	if p.keyword("NOT") {
		return &node{op: "NOT", kids: []*node{p.not()}}
	}
	if !p.accept("(") {
		return p.predicate()
	}
	n := p.or()
	p.expect(")")
	if n.parens {
		p.fail("The expression has redundant parentheses;")
	}
	n.parens = true
	return n
}

// predicate reads a function or a comparison.
func (p *parser) predicate() *node {
	if t := p.peek(); t.kind == 'a' && t.text != "size" {
		if name, ok := p.function(); ok {
			n := &node{op: name, args: p.operands()}
			p.checkFunction(n)
			return n
		}
	}
	n := &node{args: []operand{p.operand()}}
	switch t := p.next(); {
	case t.kind == 'p' && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		n.op, n.args = t.text, append(n.args, p.operand())
	case t.kind == 'a' && strings.EqualFold(t.text, "BETWEEN"):
		n.op, n.args = "BETWEEN", append(n.args, p.operand())
		if !p.keyword("AND") {
			p.unexpected()
		}
		n.args = append(n.args, p.operand())
	case t.kind == 'a' && strings.EqualFold(t.text, "IN"):
		p.expect("(")
		n.op, n.args = "IN", append(n.args, p.operands()...)
	default:
		if t.kind != 0 {
			p.at--
		}
		p.unexpected()
	}
	p.checkComparison(n)
	return n
}

// operands reads operands up to the closing parenthesis.
func (p *parser) operands() []operand {
	args := []operand{p.operand()}
	for p.accept(",") {
		args = append(args, p.operand())
	}
	p.expect(")")
	return args
}

func (p *parser) operand() operand {
	if v, ok := p.value(); ok {
		return operand{literal: v}
	}
	if name, ok := p.function(); ok {
		if name != "size" {
			p.fail("The function is not allowed to be used this way in an expression; function: %s", name)
		}
		o := operand{path: p.path(), size: true}
		p.expect(")")
		return o
	}
	return operand{path: p.path()}
}

// arity is how many operands a function of conditions takes, 0 for one that does not exist.
func arity(function string) int {
	switch function {
	case "attribute_exists", "attribute_not_exists":
		return 1
	case "attribute_type", "begins_with", "contains":
		return 2
	}
	return 0
}

func (p *parser) checkFunction(n *node) {
	if p.err != nil {
		return
	}
	switch want := arity(n.op); {
	case n.op == "if_not_exists" || n.op == "list_append":
		p.fail("The function is not allowed in a condition expression; function: %s", n.op)
	case want == 0:
		p.fail("Invalid function name; function: %s", n.op)
	case len(n.args) != want:
		p.fail("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", n.op, len(n.args))
	case n.op != "begins_with" && n.op != "contains" && (n.args[0].path == nil || n.args[0].size):
		p.fail("Operator or function requires a document path; operator or function: %s", n.op)
	case n.op == "begins_with":
		p.operandType(n.op, n.args[1].literal, "S", "B")
	case n.op == "attribute_type":
		p.checkTypeName(n.args[1])
	}
	p.checkDistinct(n)
}

func (p *parser) checkTypeName(o operand) {
	if o.literal == nil {
		p.fail("Incorrect operand type for operator or function; operator or function: attribute_type, operand type: path")
		return
	}
	p.operandType("attribute_type", o.literal, "S")
	if !slices.Contains([]string{"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"}, keyText(o.literal)) {
		p.fail("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", keyText(o.literal))
	}
}

func (p *parser) checkComparison(n *node) {
	if p.err != nil {
		return
	}
	switch n.op {
	case "=", "<>":
	case "IN":
		if len(n.args) > 101 {
			p.fail("Incorrect number of operands for operator or function; operator or function: IN, number of operands: %d", len(n.args)-1)
		}
	default:
		for _, a := range n.args {
			p.operandType(n.op, a.literal, "S", "N", "B")
		}
	}
	if n.op == "BETWEEN" && n.args[1].literal != nil && n.args[2].literal != nil {
		p.checkBounds(n.args[1].literal, n.args[2].literal)
	}
	p.checkDistinct(n)
}

func (p *parser) checkBounds(low, high value) {
	switch c, ok := order(low, high); {
	case !ok:
		p.fail("The BETWEEN operator requires same data type for lower and upper bounds")
	case c > 0:
		p.fail("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	}
}

// checkDistinct refuses an attribute compared with itself.
func (p *parser) checkDistinct(n *node) {
	if len(n.args) == 0 || n.args[0].path == nil {
		return
	}
	for _, a := range n.args[1:] {
		if a.path != nil && a.size == n.args[0].size && slices.Equal(a.path, n.args[0].path) {
			p.fail("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", n.op, a.path)
		}
	}
}
