package validate

import (
	"maps"
	"slices"

	"github.com/expenzez/aws-backend/internal/service"
)

// Query compares the parameters of a query with those declared and returns them by name. A parameter that is not
// declared or given twice is a fault, since its writer meant something that would not happen. Its error is an
// *apperr.Error of kind Invalid that names parameters, never their values.
func (s *Schema) Query(values map[string][]string) (map[string]string, error) {
	got := map[string]string{}
	c := &checker{query: true}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		c.enter(clip(name))
		i := slices.IndexFunc(s.fields, func(f field) bool { return f.Name == name })
		switch list := values[name]; {
		case i < 0:
			c.fault(CodeUnknown, "")
		case len(list) != 1:
			c.fault(CodeRepeated, "")
		default:
			got[name] = list[0]
			c.value(s.fields[i], typed(s.fields[i].Type, list[0]))
		}
		c.leave()
	}
	for _, f := range s.fields {
		if _, ok := values[f.Name]; f.Required && !ok {
			c.enter(f.Name)
			c.fault(CodeRequired, "")
			c.leave()
		}
	}
	if len(c.faults) > 0 {
		return nil, Refuse(c.faults...)
	}
	return got, nil
}

// typed is the JSON value that a parameter stands for. A number has JSON's notation: +1 and 01 are texts.
func typed(t service.Type, text string) any {
	switch {
	case t == service.Integer:
		p := &parser{body: []byte(text)}
		if n := p.number(); p.err == nil && p.at == len(text) {
			return n
		}
		return text
	case t == service.Boolean && (text == "true" || text == "false"):
		return text == "true"
	default:
		return text
	}
}
