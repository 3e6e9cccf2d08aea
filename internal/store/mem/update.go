package mem

import (
	"slices"
	"strings"
)

// update is an update expression. Its right sides all see the item as it was.
type update struct {
	sets    []assignment
	removes []path
	adds    []assignment
	deletes []assignment
}

type assignment struct {
	path path
	to   expression
}

// expression is a right side: a literal or path (op empty), if_not_exists(path, args[0]), or + - list_append over two args.
type expression struct {
	op      string
	path    path
	literal value
	args    []expression
}

// paths are all paths that an update writes.
func (u *update) paths() []path {
	all := slices.Clone(u.removes)
	for _, a := range slices.Concat(u.sets, u.adds, u.deletes) {
		all = append(all, a.path)
	}
	return all
}

// updateExpression parses an update; without a source it changes nothing.
func (s *scope) updateExpression(src *string) (*update, error) {
	u := &update{}
	if src == nil {
		return u, nil
	}
	err := s.parse("UpdateExpression", *src, func(p *parser) { p.sections(u) })
	if err != nil {
		return nil, err
	}
	return u, clash("UpdateExpression", u.paths())
}

func (p *parser) sections(u *update) {
	seen := map[string]bool{}
	for {
		t := p.peek()
		name := strings.ToUpper(t.text)
		if t.kind != 'a' || !slices.Contains([]string{"SET", "REMOVE", "ADD", "DELETE"}, name) {
			if len(seen) == 0 || t.kind != 0 {
				p.unexpected()
			}
			return
		}
		if seen[name] {
			p.fail("The \"%s\" section can only be used once in an update expression;", name)
		}
		seen[name] = true
		p.next()
		p.section(name, u)
		for p.accept(",") {
			p.section(name, u)
		}
	}
}

// section reads one action of a section.
func (p *parser) section(name string, u *update) {
	target := p.path()
	switch name {
	case "REMOVE":
		u.removes = append(u.removes, target)
	case "SET":
		p.expect("=")
		u.sets = append(u.sets, assignment{target, p.rightSide()})
	case "ADD":
		u.adds = append(u.adds, assignment{target, p.setOperand("ADD", "N", "SS", "NS", "BS")})
	case "DELETE":
		u.deletes = append(u.deletes, assignment{target, p.setOperand("DELETE", "SS", "NS", "BS")})
	}
}

// setOperand reads the literal of an ADD or DELETE.
func (p *parser) setOperand(section string, allowed ...string) expression {
	v, ok := p.value()
	if !ok {
		p.unexpected()
	}
	if v != nil && !slices.Contains(allowed, typeOf(v)) {
		p.fail("Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: %s", section, longTypeOf(v), strings.Join(allowed, ","))
	}
	return expression{literal: v}
}

// rightSide reads an operand, or two with + or - between them.
func (p *parser) rightSide() expression {
	left := p.expression()
	for _, op := range []string{"+", "-"} {
		if p.accept(op) {
			right := p.expression()
			p.operandType(op, left.literal, "N")
			p.operandType(op, right.literal, "N")
			return expression{op: op, args: []expression{left, right}}
		}
	}
	return left
}

func (p *parser) expression() expression {
	if v, ok := p.value(); ok {
		return expression{literal: v}
	}
	name, ok := p.function()
	if !ok {
		return expression{path: p.path()}
	}
	e := expression{op: name}
	switch name {
	case "if_not_exists":
		e.path = p.path()
		p.expect(",")
		e.args = []expression{p.expression()}
	case "list_append":
		first := p.expression()
		p.expect(",")
		e.args = []expression{first, p.expression()}
		p.operandType(name, e.args[0].literal, "L")
		p.operandType(name, e.args[1].literal, "L")
	default:
		p.fail("Invalid function name; function: %s", name)
	}
	p.expect(")")
	return e
}

// eval computes a right side from the item as it was.
func (e expression) eval(old item) (value, error) {
	switch e.op {
	case "":
		if e.literal != nil {
			return e.literal, nil
		}
		if v := e.path.get(old); v != nil {
			return v, nil
		}
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	case "if_not_exists":
		if v := e.path.get(old); v != nil {
			return v, nil
		}
		return e.args[0].eval(old)
	}
	left, err := e.args[0].eval(old)
	if err != nil {
		return nil, err
	}
	right, err := e.args[1].eval(old)
	if err != nil {
		return nil, err
	}
	if e.op == "list_append" {
		return appended(left, right)
	}
	return sum(left, right, e.op == "-")
}

func appended(left, right value) (value, error) {
	a, ok := left.(*list)
	b, same := right.(*list)
	if !ok || !same {
		return nil, errOperand()
	}
	return &list{Value: slices.Concat(a.Value, b.Value)}, nil
}

func sum(left, right value, minus bool) (value, error) {
	a, ok := numberOf(left)
	b, same := numberOf(right)
	if !ok || !same {
		return nil, errOperand()
	}
	if minus {
		b = b.negated()
	}
	n, err := a.add(b)
	if err != nil {
		return nil, err
	}
	return &num{Value: n.String()}, nil
}

func errOperand() error {
	return invalid("An operand in the update expression has an incorrect data type")
}

// added is the value of an ADD: a sum, a union, or the operand where nothing was.
func added(old, operand value) (value, error) {
	switch {
	case old == nil:
		return operand, nil
	case typeOf(old) != typeOf(operand):
		return nil, errOperand()
	case typeOf(old) == "N":
		return sum(old, operand, false)
	}
	union := elementsOf(old)
	for _, e := range elementsOf(operand) {
		if !slices.Contains(union, e) {
			union = append(union, e)
		}
	}
	return setOf(typeOf(old), union), nil
}

// without is the value of a DELETE, nil when nothing is left.
func without(old, operand value) (value, error) {
	switch {
	case old == nil:
		return nil, nil
	case typeOf(old) != typeOf(operand):
		return nil, errOperand()
	}
	gone := elementsOf(operand)
	left := slices.DeleteFunc(elementsOf(old), func(e string) bool { return slices.Contains(gone, e) })
	if len(left) == 0 {
		return nil, nil
	}
	return setOf(typeOf(old), left), nil
}

// apply gives the updated copy of old, which is not changed.
func (u *update) apply(old item) (item, error) {
	it := cloneItem(old)
	for _, a := range u.sets {
		v, err := a.to.eval(old)
		if err != nil {
			return nil, err
		}
		if err := a.path.set(it, clone(v)); err != nil {
			return nil, err
		}
	}
	for _, a := range u.adds {
		v, err := added(a.path.get(old), a.to.literal)
		if err != nil {
			return nil, err
		}
		if err := a.path.set(it, clone(v)); err != nil {
			return nil, err
		}
	}
	removes := slices.Clone(u.removes)
	for _, a := range u.deletes {
		v, err := without(a.path.get(old), a.to.literal)
		if err != nil {
			return nil, err
		}
		if v == nil {
			removes = append(removes, a.path)
			continue
		}
		if err := a.path.set(it, v); err != nil {
			return nil, err
		}
	}
	return it, removeAll(it, removes)
}

// removeAll removes the last elements of lists first, so that every index means what it meant before the update.
func removeAll(it item, paths []path) error {
	slices.SortFunc(paths, func(a, b path) int { return comparePaths(b, a) })
	for _, p := range paths {
		if err := p.remove(it); err != nil {
			return err
		}
	}
	return nil
}
