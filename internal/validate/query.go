package validate

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
)

// Query compares the parameters of a query with those declared and returns them by name. A parameter that is not
// declared or given twice is a fault, since its writer meant something that would not happen. Its error is an
// *apperr.Error of kind Invalid that names parameters, never their values.
func (s *Schema) Query(values map[string][]string) (map[string]string, error) {
	got := map[string]string{}
	c := &checker{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(s.fields, func(f field) bool { return f.Name == name })
		switch list := values[name]; {
		case i < 0:
			c.fault(clip(name), CodeUnknown, "")
		case len(list) != 1:
			c.fault(name, CodeRepeated, "")
		default:
			got[name] = list[0]
			c.value(s.fields[i], name, typed(s.fields[i].Type, list[0]))
		}
	}
	for _, f := range s.fields {
		if _, ok := values[f.Name]; f.Required && !ok {
			c.fault(f.Name, CodeRequired, "")
		}
	}
	if len(c.faults) > 0 {
		for i, f := range c.faults {
			c.faults[i] = apperr.Field{Parameter: f.Pointer, Code: f.Code, Detail: f.Detail}
		}
		return nil, Refuse(c.faults...)
	}
	return got, nil
}

// typed is the JSON value that a parameter stands for.
func typed(t service.Type, text string) any {
	switch {
	case t == service.Integer:
		return json.Number(text)
	case t == service.Boolean && (text == "true" || text == "false"):
		return text == "true"
	default:
		return text
	}
}
