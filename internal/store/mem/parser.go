package mem

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// scope holds the placeholders of a call and which of them its expressions use.
type scope struct {
	names      map[string]string
	values     item
	usedNames  map[string]bool
	usedValues map[string]bool
	sources    int // expressions parsed
}

// newScope checks the placeholders themselves.
func newScope(names map[string]string, values item) (*scope, error) {
	if names != nil && len(names) == 0 {
		return nil, invalid("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, invalid("ExpressionAttributeValues must not be empty")
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		if !placeholder(key, "#") {
			return nil, invalid(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, key)
		}
		if names[key] == "" {
			return nil, invalid(`ExpressionAttributeNames contains invalid value: An empty attribute name is not allowed; key: %s`, key)
		}
	}
	accepted := item{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !placeholder(key, ":") {
			return nil, invalid(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, key)
		}
		one, err := acceptedItem(item{key: values[key]}, 1)
		if err != nil {
			return nil, invalid("ExpressionAttributeValues contains invalid value: %s; key: %s", message(err), key)
		}
		accepted[key] = one[key]
	}
	return &scope{names: names, values: accepted, usedNames: map[string]bool{}, usedValues: map[string]bool{}}, nil
}

func placeholder(key, mark string) bool {
	rest, ok := strings.CutPrefix(key, mark)
	return ok && rest != "" && strings.Trim(rest, word) == ""
}

// done refuses placeholders that no expression used.
func (s *scope) done() error {
	for _, kind := range []struct {
		field string
		keys  []string
		used  map[string]bool
	}{
		{"ExpressionAttributeNames", slices.Sorted(maps.Keys(s.names)), s.usedNames},
		{"ExpressionAttributeValues", slices.Sorted(maps.Keys(s.values)), s.usedValues},
	} {
		if len(kind.keys) > 0 && s.sources == 0 {
			return invalid("%s can only be specified when using expressions", kind.field)
		}
		unused := slices.DeleteFunc(kind.keys, func(key string) bool { return kind.used[key] })
		if len(unused) > 0 {
			return invalid("Value provided in %s unused in expressions: keys: {%s}", kind.field, strings.Join(unused, ", "))
		}
	}
	return nil
}

// parser reads one expression. Its first problem stays in err; from then on it sees only the end.
type parser struct {
	*scope
	what   string // name of the parameter, for messages
	src    string
	tokens []token
	at     int
	err    error
}

// parse runs a grammar over a whole expression.
func (s *scope) parse(what, src string, grammar func(*parser)) error {
	s.sources++
	p := &parser{scope: s, what: what, src: src}
	switch {
	case strings.TrimSpace(src) == "":
		return invalid("Invalid %s: The expression can not be empty;", what)
	case len(src) > maxExpression:
		return invalid("Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d", what, len(src))
	}
	var ok bool
	if p.tokens, ok = lex(src); !ok {
		p.at = len(p.tokens) - 1
		p.unexpected()
		return p.err
	}
	if grammar(p); p.err == nil && p.peek().kind != 0 {
		p.unexpected()
	}
	return p.err
}

func (p *parser) peek() token {
	if p.err != nil {
		return token{}
	}
	return p.tokens[p.at]
}

func (p *parser) next() token {
	t := p.peek()
	if t.kind != 0 {
		p.at++
	}
	return t
}

// fail keeps the first problem.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = invalid("Invalid "+p.what+": "+format, args...)
	}
}

// unexpected reports the next token, with what stands around it.
func (p *parser) unexpected() {
	if p.err != nil {
		return
	}
	begin, end := 0, p.tokens[min(p.at+1, len(p.tokens)-1)].end
	if p.at > 1 {
		begin = p.tokens[p.at-2].end
	}
	p.fail("Syntax error; token: \"%s\", near: \"%s\"", p.tokens[p.at].text, strings.TrimSpace(p.src[begin:end]))
}

// accept takes the next token if it is that punctuation.
func (p *parser) accept(text string) bool {
	t := p.peek()
	if t.kind == 'p' && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.unexpected()
	}
}

// keyword takes the next token if it is that word, in any case.
func (p *parser) keyword(text string) bool {
	t := p.peek()
	if t.kind == 'a' && strings.EqualFold(t.text, text) {
		p.at++
		return true
	}
	return false
}

// path reads a document path.
func (p *parser) path() path {
	out := path{{name: p.name()}}
	for p.err == nil {
		switch {
		case p.accept("."):
			out = append(out, step{name: p.name()})
		case p.accept("["):
			t := p.peek()
			index, err := strconv.Atoi(t.text)
			if t.kind != '0' || err != nil {
				p.unexpected()
				return out
			}
			p.next()
			p.expect("]")
			out = append(out, step{index: index})
		default:
			return out
		}
	}
	return out
}

// name reads one attribute name, bare or by placeholder.
func (p *parser) name() string {
	switch t := p.peek(); t.kind {
	case 'a':
		if reserved(t.text) {
			p.fail("Attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		return p.next().text
	case '#':
		name, ok := p.names[t.text]
		if !ok {
			p.fail("An expression attribute name used in the document path is not defined; attribute name: %s", t.text)
		}
		p.usedNames[t.text] = true
		p.next()
		return name
	}
	p.unexpected()
	return ""
}

// value reads a value placeholder; ok is false when the next token is none.
func (p *parser) value() (v value, ok bool) {
	t := p.peek()
	if t.kind != ':' {
		return nil, false
	}
	v, defined := p.values[t.text]
	if !defined {
		p.fail("An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.usedValues[t.text] = true
	p.next()
	return v, true
}

// function takes a name and its opening parenthesis if that is what comes next.
func (p *parser) function() (name string, ok bool) {
	t := p.peek()
	if t.kind != 'a' || p.tokens[p.at+1].text != "(" {
		return "", false
	}
	p.at += 2
	return t.text, true
}

// operandType refuses a literal whose type is not in allowed. Attributes are looked at when the expression runs.
func (p *parser) operandType(operator string, literal value, allowed ...string) {
	if literal != nil && !slices.Contains(allowed, typeOf(literal)) {
		p.fail("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, typeOf(literal))
	}
}

// projectionOf reads the projection of a call that has no other expression.
func projectionOf(src *string, names map[string]string) ([]path, error) {
	s, err := newScope(names, nil)
	if err != nil {
		return nil, err
	}
	paths, err := s.projection(src)
	if err != nil {
		return nil, err
	}
	return paths, s.done()
}

func (s *scope) projection(src *string) (paths []path, err error) {
	if src == nil {
		return nil, nil
	}
	err = s.parse("ProjectionExpression", *src, func(p *parser) {
		paths = append(paths, p.path())
		for p.accept(",") {
			paths = append(paths, p.path())
		}
	})
	if err != nil {
		return nil, err
	}
	return paths, clash("ProjectionExpression", paths)
}
