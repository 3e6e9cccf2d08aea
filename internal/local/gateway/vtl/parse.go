package vtl

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds nesting, so that no template can exhaust the stack.
const maxDepth = 100

// Parse checks and reads a template. The error says in which line what is not emulated, and what to write instead.
func Parse(source string) (*Template, error) {
	if len(source) > MaxBytes {
		return nil, fmt.Errorf("the template is %d bytes, more than API Gateway's 300 KB", len(source))
	}
	p := &parser{source: source, variables: map[string]kind{}, context: map[string]bool{}}
	nodes, end, err := p.block()
	if err == nil && end != "" {
		err = fmt.Errorf("#%s belongs to no #if or #foreach", end)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", 1+strings.Count(source[:p.at], "\n"), err)
	}
	return &Template{nodes: nodes, context: p.context}, nil
}

type parser struct {
	source    string
	at        int
	depth     int
	variables map[string]kind // set so far in the text
	context   map[string]bool // paths read
}

func (p *parser) rest() string { return p.source[p.at:] }

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// block reads nodes up to the end or to an #else, #elseif or #end, which it consumes and returns.
func (p *parser) block() (nodes []node, end string, err error) {
	if err := p.enter(); err != nil {
		return nil, "", err
	}
	defer func() { p.depth-- }()
	for {
		special := strings.IndexAny(p.rest(), "$#\\")
		if special < 0 {
			nodes = appendText(nodes, p.rest())
			p.at = len(p.source)
			return nodes, "", nil
		}
		nodes = appendText(nodes, p.rest()[:special])
		p.at += special
		var n node
		if n, end, err = p.special(); err != nil || end != "" {
			return nodes, end, err
		}
		if n != nil {
			nodes = append(nodes, n)
		}
	}
}

func appendText(nodes []node, text string) []node {
	if text == "" {
		return nodes
	}
	return append(nodes, textNode(text))
}

// special reads what starts with $, # or \.
func (p *parser) special() (n node, end string, err error) {
	switch c := p.source[p.at]; {
	case c == '\\':
		p.at++
		if r := p.rest(); r != "" && (r[0] == '$' || r[0] == '#') {
			return nil, "", fmt.Errorf("escaping with \\%c is not emulated", r[0])
		}
		return textNode(`\`), "", nil
	case c == '#':
		return p.directive()
	case isReference(p.rest()):
		value, err := p.reference()
		if err != nil {
			return nil, "", err
		}
		return printNode{value}, "", nil
	default:
		p.at++
		return textNode("$"), "", nil
	}
}

func (p *parser) directive() (n node, end string, err error) {
	switch rest := p.rest(); {
	case strings.HasPrefix(rest, "##"):
		p.skipLine()
		return nil, "", nil
	case strings.HasPrefix(rest, "#*"):
		length := strings.Index(rest, "*#")
		if length < 0 {
			return nil, "", fmt.Errorf("the comment #* has no *#")
		}
		p.at += length + 2
		return nil, "", nil
	case strings.HasPrefix(rest, "#[["):
		return nil, "", fmt.Errorf("#[[ is not emulated")
	}
	p.at++
	name := p.directiveName()
	switch name {
	case "":
		return textNode("#"), "", nil
	case "set":
		n, err = p.set()
	case "if":
		n, err = p.ifChain()
	case "foreach":
		n, err = p.foreach()
	case "end", "else":
		p.skipRestOfLine()
		return nil, name, nil
	case "elseif":
		return nil, name, nil
	default:
		err = fmt.Errorf("#%s is not emulated (#set, #if, #elseif, #else, #foreach and #end are)", name)
	}
	return n, "", err
}

// directiveName reads name or {name} after #.
func (p *parser) directiveName() string {
	rest := p.rest()
	if strings.HasPrefix(rest, "{") {
		if name := identifier(rest[1:]); name != "" && strings.HasPrefix(rest[1+len(name):], "}") {
			p.at += len(name) + 2
			return name
		}
		return ""
	}
	name := identifier(rest)
	if strings.HasPrefix(name, "end") { // #endtext is #end and text
		name = "end"
	} else if strings.HasPrefix(name, "else") && name != "elseif" {
		name = "else"
	}
	p.at += len(name)
	return name
}

func (p *parser) skipLine() {
	end := strings.IndexByte(p.rest(), '\n')
	if end < 0 {
		p.at = len(p.source)
		return
	}
	p.at += end + 1
}

// skipRestOfLine swallows blanks and the newline after a directive, as Velocity does.
func (p *parser) skipRestOfLine() {
	trimmed := strings.TrimLeft(p.rest(), " \t\r")
	if strings.HasPrefix(trimmed, "\n") {
		p.at = len(p.source) - len(trimmed) + 1
	}
}

func (p *parser) set() (node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	path, err := p.target()
	if err != nil {
		return nil, err
	}
	if err := p.expect("="); err != nil {
		return nil, err
	}
	value, err := p.or()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	p.skipRestOfLine()
	return p.assignment(path, value)
}

// target reads what #set assigns to, without the $.
func (p *parser) target() ([]string, error) {
	p.blanks()
	if !isReference(p.rest()) || strings.HasPrefix(p.rest(), "${") || strings.HasPrefix(p.rest(), "$!") {
		return nil, fmt.Errorf("#set needs a plain $name to assign to")
	}
	p.at++
	return p.path(), nil
}

const statusTarget = "context.responseOverride.status"

func (p *parser) assignment(path []string, value expression) (node, error) {
	name := strings.Join(path, ".")
	header, isHeader := strings.CutPrefix(name, "context.responseOverride.header.")
	switch {
	case isHeader && value.kind() != textKind:
		return nil, fmt.Errorf("$%s needs text, not %s", name, value.kind())
	case isHeader && len(path) == 4:
		return setHeader{header, value}, nil
	case name == statusTarget && value.kind() != integerKind:
		return nil, fmt.Errorf("$%s needs an integer, not %s; any other is ignored by API Gateway", name, value.kind())
	case name == statusTarget:
		return setStatus{value}, nil
	case len(path) > 1 || isReserved(name):
		return nil, fmt.Errorf("setting $%s is not emulated (variables, $context.responseOverride.header.<name> and .status are)", name)
	}
	if err := p.declare(name, value.kind()); err != nil {
		return nil, err
	}
	return setVariable{name, value}, nil
}

func isReserved(name string) bool {
	switch name {
	case "context", "input", "stageVariables", "util", "method", "foreach", "velocityCount":
		return true
	}
	return false
}

func (p *parser) declare(name string, of kind) error {
	if before, ok := p.variables[name]; ok && before != of {
		return fmt.Errorf("$%s is %s here and %s before; use two names", name, of, before)
	}
	p.variables[name] = of
	return nil
}

func (p *parser) ifChain() (node, error) {
	var chain ifNode
	for keyword := "if"; ; {
		b, next, err := p.branch(keyword)
		if err != nil {
			return nil, err
		}
		chain = append(chain, b)
		switch {
		case next == "end":
			return chain, nil
		case next == "":
			return nil, fmt.Errorf("#if has no #end")
		case b.condition == nil:
			return nil, fmt.Errorf("#%s after #else", next)
		}
		keyword = next
	}
}

func (p *parser) branch(keyword string) (b branch, next string, err error) {
	if keyword != "else" {
		if err := p.expect("("); err != nil {
			return b, "", err
		}
		if b.condition, err = p.or(); err != nil {
			return b, "", err
		}
		if err := p.expect(")"); err != nil {
			return b, "", err
		}
		if err := needBoolean("#"+keyword, b.condition); err != nil {
			return b, "", err
		}
		p.skipRestOfLine()
	}
	b.body, next, err = p.block()
	return b, next, err
}

func needBoolean(where string, e expression) error {
	if e.kind() == booleanKind {
		return nil
	}
	return fmt.Errorf("%s is given %s, which Velocity's versions judge differently; compare it, as in $x != ''", where, e.kind())
}

func (p *parser) foreach() (node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	path, err := p.target()
	if err != nil {
		return nil, err
	}
	if len(path) != 1 || isReserved(path[0]) {
		return nil, fmt.Errorf("#foreach needs a plain variable")
	}
	if err := p.expect("in"); err != nil {
		return nil, err
	}
	list, err := p.list()
	if err != nil {
		return nil, err
	}
	if err := p.declare(path[0], list[0].kind()); err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	p.skipRestOfLine()
	body, end, err := p.block()
	if err == nil && end != "end" {
		err = fmt.Errorf("#foreach has no #end")
	}
	return foreachNode{path[0], list, body}, err
}

// list reads a literal list of one kind.
func (p *parser) list() ([]expression, error) {
	if err := p.expect("["); err != nil {
		return nil, fmt.Errorf("#foreach is emulated over a literal list only: %w", err)
	}
	var list []expression
	for {
		item, err := p.primary()
		if err != nil {
			return nil, err
		}
		if _, ok := item.(literal); !ok {
			return nil, fmt.Errorf("#foreach is emulated over a list of literals only")
		}
		if list = append(list, item); item.kind() != list[0].kind() {
			return nil, fmt.Errorf("the list mixes %s and %s", list[0].kind(), item.kind())
		}
		if !p.accept(",") {
			return list, p.expect("]")
		}
	}
}

func (p *parser) or() (expression, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.logic("||", p.and)
}

func (p *parser) and() (expression, error) { return p.logic("&&", p.equality) }

func (p *parser) logic(operator string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil && p.accept(operator) {
		var right expression
		if right, err = operand(); err != nil {
			break
		}
		if err = needBoolean(operator, left); err == nil {
			err = needBoolean(operator, right)
		}
		left = binary{operator, left, right}
	}
	return left, err
}

func (p *parser) equality() (expression, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for _, operator := range []string{"==", "!="} {
		if !p.accept(operator) {
			continue
		}
		right, err := p.unary()
		if err == nil && left.kind() != right.kind() {
			err = fmt.Errorf("%s compares %s with %s, which are never equal", operator, left.kind(), right.kind())
		}
		return binary{operator, left, right}, err
	}
	return left, nil
}

func (p *parser) unary() (expression, error) {
	if p.blanks(); !strings.HasPrefix(p.rest(), "!") || strings.HasPrefix(p.rest(), "!=") {
		return p.primary()
	}
	p.at++
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	of, err := p.unary()
	if err == nil {
		err = needBoolean("!", of)
	}
	return not{of}, err
}

func (p *parser) primary() (expression, error) {
	p.blanks()
	switch rest := p.rest(); {
	case rest == "":
		return nil, fmt.Errorf("the template ends in the middle of an expression")
	case isReference(rest):
		return p.reference()
	case rest[0] == '\'' || rest[0] == '"':
		text, err := p.text()
		return literal{text}, err
	case rest[0] == '(':
		p.at++
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	case rest[0] >= '0' && rest[0] <= '9':
		return p.integer()
	default:
		return p.word()
	}
}

func (p *parser) integer() (expression, error) {
	end := 0
	for end < len(p.rest()) && p.rest()[end] >= '0' && p.rest()[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(p.rest()[:end])
	if err != nil {
		return nil, fmt.Errorf("the number %s is too large", p.rest()[:end])
	}
	p.at += end
	return literal{n}, nil
}

func (p *parser) word() (expression, error) {
	name := identifier(p.rest())
	if name == "true" || name == "false" {
		p.at += len(name)
		return literal{name == "true"}, nil
	}
	if name == "" {
		name = p.rest()[:1]
	}
	return nil, fmt.Errorf("%q is not emulated in an expression", name)
}

// text reads a quoted string. Double quotes would substitute, which is not emulated.
func (p *parser) text() (string, error) {
	quote := p.rest()[0]
	end := strings.IndexByte(p.rest()[1:], quote)
	if end < 0 {
		return "", fmt.Errorf("a string has no closing %c", quote)
	}
	text := p.rest()[1 : 1+end]
	if quote == '"' && strings.ContainsAny(text, `$#\`) {
		return "", fmt.Errorf(`"%s" would be substituted in; write it in single quotes or outside the string`, text)
	}
	p.at += end + 2
	return text, nil
}

// isReference tells a reference from a mere $.
func isReference(s string) bool {
	s, ok := strings.CutPrefix(s, "$")
	if !ok {
		return false
	}
	return identifier(strings.TrimPrefix(strings.TrimPrefix(s, "!"), "{")) != ""
}

// reference reads $name, ${name}, $!name or $!{name}; isReference holds.
func (p *parser) reference() (expression, error) {
	p.at++
	p.accept1('!')
	braces := p.accept1('{')
	path := p.path()
	name := strings.Join(path, ".")
	value, err := p.resolve(path, name)
	if err != nil {
		return nil, err
	}
	if braces && !p.accept1('}') {
		return nil, fmt.Errorf("${%s has no closing brace, or more than a name in it", name)
	}
	if r := p.rest(); r != "" && (r[0] == '[' || r[0] == '(') {
		return nil, fmt.Errorf("$%s%c is not emulated", name, r[0])
	}
	return value, nil
}

func (p *parser) resolve(path []string, name string) (expression, error) {
	switch path[0] {
	case "input":
		return p.params(name)
	case "context":
		if len(path) == 1 || strings.HasPrefix(name, "context.responseOverride") || strings.HasPrefix(name, "context.requestOverride") {
			return nil, fmt.Errorf("reading $%s is not emulated", name)
		}
		p.context[name[len("context."):]] = true
		return contextReference(name[len("context."):]), nil
	case "stageVariables":
		if len(path) != 2 {
			return nil, fmt.Errorf("$%s is not emulated ($stageVariables.<name> is)", name)
		}
		return stageReference(path[1]), nil
	}
	of, ok := p.variables[name]
	if !ok {
		return nil, fmt.Errorf("$%s is not emulated and no variable set before it", name)
	}
	return variable{name, of}, nil
}

// params reads the argument of $input.params('name').
func (p *parser) params(name string) (expression, error) {
	if name != "input.params" || !p.accept1('(') {
		return nil, fmt.Errorf("$%s is not emulated ($input.params('name') is)", name)
	}
	p.blanks()
	if r := p.rest(); r == "" || (r[0] != '\'' && r[0] != '"') {
		return nil, fmt.Errorf("$input.params needs a quoted name")
	}
	param, err := p.text()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if strings.HasPrefix(p.rest(), ".") && identifier(p.rest()[1:]) != "" {
		return nil, fmt.Errorf("methods of $input.params('%s') are not emulated", param)
	}
	return paramReference(param), nil
}

// path reads name(.name)*; a dot that no name follows is text.
func (p *parser) path() []string {
	var path []string
	for {
		name := identifier(p.rest())
		path = append(path, name)
		p.at += len(name)
		if !strings.HasPrefix(p.rest(), ".") || identifier(p.rest()[1:]) == "" {
			return path
		}
		p.at++
	}
}

// identifier is the longest Velocity identifier at the start of s: a letter, then letters, digits, - and _.
func identifier(s string) string {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z' && s[i] < 0x80
		if !letter && (i == 0 || s[i] != '-' && s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return s[:i]
		}
	}
	return s
}

func (p *parser) blanks() {
	p.at = len(p.source) - len(strings.TrimLeft(p.rest(), " \t\r\n"))
}

func (p *parser) accept1(c byte) bool {
	if p.at < len(p.source) && p.source[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) accept(token string) bool {
	p.blanks()
	if !strings.HasPrefix(p.rest(), token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) expect(token string) error {
	if p.accept(token) {
		return nil
	}
	rest := p.rest()
	if len(rest) > 12 {
		rest = rest[:12] + "…"
	}
	return fmt.Errorf("expected %s before %q", token, rest)
}
