package mem

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// step goes into a map by name or, when name is empty, into a list by index.
type step struct {
	name  string
	index int
}

// path leads to a value in an item. Its first step is an attribute's name.
type path []step

func (p path) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		if parts[i] = s.name; s.name == "" {
			parts[i] = "[" + strconv.Itoa(s.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// into is the value that one step leads to, nil when there is none.
func (s step) into(container value) value {
	switch c := container.(type) {
	case *mapping:
		if s.name != "" {
			return c.Value[s.name]
		}
	case *list:
		if s.name == "" && s.index < len(c.Value) {
			return c.Value[s.index]
		}
	}
	return nil
}

// get is the value at p, nil when there is none.
func (p path) get(it item) value {
	var v value = &mapping{Value: it}
	for _, s := range p {
		v = s.into(v)
	}
	return v
}

// set puts a value at p of an item that the caller owns. A list grows by one at most, wherever p points behind its end.
func (p path) set(it item, v value) error {
	last := p[len(p)-1]
	switch c := p[:len(p)-1].get(it).(type) {
	case *mapping:
		if last.name != "" {
			c.Value[last.name] = v
			return nil
		}
	case *list:
		if last.name == "" && last.index < len(c.Value) {
			c.Value[last.index] = v
			return nil
		}
		if last.name == "" {
			c.Value = append(c.Value, v)
			return nil
		}
	}
	return errPath()
}

// remove takes the value at p out of an item that the caller owns; what is not there is fine, a missing parent is not.
func (p path) remove(it item) error {
	last := p[len(p)-1]
	switch c := p[:len(p)-1].get(it).(type) {
	case *mapping:
		if last.name != "" {
			delete(c.Value, last.name)
			return nil
		}
	case *list:
		if last.name == "" {
			if last.index < len(c.Value) {
				c.Value = slices.Delete(c.Value, last.index, last.index+1)
			}
			return nil
		}
	}
	return errPath()
}

func errPath() error {
	return invalid("The document path provided in the update expression is invalid for update")
}

// comparePaths orders elements of one list by their index.
func comparePaths(a, b path) int {
	return slices.CompareFunc(a, b, func(x, y step) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.index, y.index))
	})
}

// clash refuses paths of which one is or contains another, or takes the same value once for a map and once for a list.
func clash(what string, paths []path) error {
	for i, a := range paths {
		for _, b := range paths[:i] {
			shorter := min(len(a), len(b))
			same := 0
			for same < shorter && a[same] == b[same] {
				same++
			}
			switch {
			case same == shorter:
				return invalid("Invalid %s: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", what, b, a)
			case (a[same].name == "") != (b[same].name == ""):
				return invalid("Invalid %s: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", what, b, a)
			}
		}
	}
	return nil
}

// project is a copy of an item reduced to paths; without any it is a copy of all of it. A missing item stays missing.
func project(it item, paths []path) item {
	if it == nil || len(paths) == 0 {
		return cloneItem(it)
	}
	if out := pickItem(it, paths); out != nil {
		return out
	}
	return item{}
}

// pickItem is a copy of what paths lead to, nil when that is nothing.
func pickItem(it item, paths []path) item {
	if it == nil || len(paths) == 0 {
		return nil
	}
	if m, ok := pick(&mapping{Value: it}, paths).(*mapping); ok {
		return m.Value
	}
	return nil
}

// pick copies the parts of v that paths lead to. Elements of a list move together.
func pick(v value, paths []path) value {
	if v == nil {
		return nil
	}
	below := map[step][]path{}
	for _, p := range paths {
		if len(p) == 0 {
			return clone(v)
		}
		below[p[0]] = append(below[p[0]], p[1:])
	}
	steps := make([]step, 0, len(below))
	for s := range below {
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.index, b.index) })
	fields, elements := item{}, []value{}
	for _, s := range steps {
		switch part := pick(s.into(v), below[s]); {
		case part == nil:
		case s.name != "":
			fields[s.name] = part
		default:
			elements = append(elements, part)
		}
	}
	switch {
	case len(fields) > 0:
		return &mapping{Value: fields}
	case len(elements) > 0:
		return &list{Value: elements}
	}
	return nil
}
