package gateway

import (
	"slices"
	"strings"
)

// object is a JSON object of the OpenAPI body that reports what is wrong with it by its place.
type object struct {
	at     string
	fields map[string]any
	p      *problems
}

func newObject(at string, value any, p *problems) object {
	fields, ok := value.(map[string]any)
	if !ok {
		p.add(at, "it is not an object")
	}
	return object{at, fields, p}
}

// only reports fields that are not emulated. Foreign extensions (x-…, but not x-amazon-…) are ignored by API Gateway.
func (o object) only(known ...string) {
	for _, key := range sortedKeys(o.fields) {
		foreign := strings.HasPrefix(key, "x-") && !strings.HasPrefix(key, "x-amazon-")
		if !slices.Contains(known, key) && !foreign {
			o.p.add(o.at+"."+key, "it is not emulated")
		}
	}
}

func (o object) has(key string) bool { return o.fields[key] != nil }

// object is the field as an object; an absent one is empty.
func (o object) object(key string) object {
	if !o.has(key) {
		return object{o.at + "." + key, nil, o.p}
	}
	return newObject(o.at+"."+key, o.fields[key], o.p)
}

// each visits the fields, which are objects, sorted by name.
func (o object) each(visit func(name string, field object)) {
	for _, key := range sortedKeys(o.fields) {
		visit(key, o.object(key))
	}
}

// list is the field as a list of anything; an absent one is empty.
func (o object) list(key string) []any {
	list, ok := o.fields[key].([]any)
	if !ok && o.has(key) {
		o.p.add(o.at+"."+key, "it is not a list")
	}
	return list
}

func (o object) text(key string) string {
	text, ok := o.fields[key].(string)
	if !ok && o.has(key) {
		o.p.add(o.at+"."+key, "it is not text")
	}
	return text
}

func (o object) flag(key string) bool {
	flag, ok := o.fields[key].(bool)
	if !ok && o.has(key) {
		o.p.add(o.at+"."+key, "it is not true or false")
	}
	return flag
}

// number is the field as a number, or otherwise when it is absent.
func (o object) number(key string, otherwise float64) float64 {
	if !o.has(key) {
		return otherwise
	}
	number, ok := o.fields[key].(float64)
	if !ok {
		o.p.add(o.at+"."+key, "it is not a number")
	}
	return number
}

// texts is the field as an object of texts.
func (o object) texts(key string) map[string]string {
	inner := o.object(key)
	all := make(map[string]string, len(inner.fields))
	for name := range inner.fields {
		all[name] = inner.text(name)
	}
	return all
}
