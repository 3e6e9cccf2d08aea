package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expenzez/aws-backend/internal/deployment"
)

// filter is the patterns of which an event has to match one; none lets all pass.
type filter []map[string]any

// readFilter reads a mapping's patterns (Lambda Developer Guide, "Control which events Lambda sends to your function":
// filter rule syntax). An operator that is not known is an error: an event that passes here and not on AWS would be a lie.
func readFilter(r *deployment.Resource) (filter, error) {
	entries, err := list(r, "filterCriteria", "filters")
	problems := []error{err}
	var f filter
	for _, entry := range entries {
		text, _ := deployment.Lookup(entry, "pattern")
		raw, _ := text.(string)
		pattern, err := parsePattern(raw)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		f = append(f, pattern)
	}
	return f, errors.Join(problems...)
}

func parsePattern(raw string) (map[string]any, error) {
	var pattern map[string]any
	if err := json.Unmarshal([]byte(raw), &pattern); err != nil || pattern == nil {
		return nil, errors.New("a filter's pattern is not a JSON object")
	}
	return pattern, checkPattern(pattern)
}

// sees reports the patterns' properties that are not among those that a source's filters see.
func (f filter) sees(known ...string) []error {
	var problems []error
	for _, pattern := range f {
		for _, name := range slices.Sorted(maps.Keys(pattern)) {
			if name != "$or" && !slices.Contains(known, name) {
				problems = append(problems, fmt.Errorf("a filter of %q: filters see %s here", name, strings.Join(known, ", ")))
			}
		}
		alternatives, _ := pattern["$or"].([]any)
		for _, a := range alternatives {
			inner, _ := a.(map[string]any)
			problems = append(problems, filter{inner}.sees(known...)...)
		}
	}
	return problems
}

// checkPattern reports every fault of a pattern.
func checkPattern(pattern map[string]any) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(pattern)) {
		switch p := pattern[name].(type) {
		case map[string]any:
			problems = append(problems, checkPattern(p))
		case []any:
			for _, rule := range p {
				if err := checkRule(name, rule); err != nil {
					problems = append(problems, fmt.Errorf("a filter of %q: %w", name, err))
				}
			}
		default:
			problems = append(problems, fmt.Errorf("a filter of %q is neither an object nor a list", name))
		}
	}
	return errors.Join(problems...)
}

func checkRule(name string, rule any) error {
	inner, isObject := rule.(map[string]any)
	if name == "$or" {
		if !isObject {
			return errors.New("its alternatives are objects")
		}
		return checkPattern(inner)
	}
	if _, isList := rule.([]any); isList {
		return errors.New("a rule is no list")
	}
	_, err := ruleMatches(rule, nil, false)
	return err
}

// matches tells whether an event passes. Objects in it are map[string]any, lists []any.
func (f filter) matches(event map[string]any) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(pattern map[string]any) bool { return patternMatches(pattern, event) })
}

func patternMatches(pattern, event map[string]any) bool {
	for name, p := range pattern {
		value, present := event[name]
		switch p := p.(type) {
		case map[string]any:
			inner, _ := value.(map[string]any)
			if !patternMatches(p, inner) {
				return false
			}
		case []any:
			if name == "$or" {
				if !slices.ContainsFunc(p, func(a any) bool { inner, _ := a.(map[string]any); return patternMatches(inner, event) }) {
					return false
				}
			} else if !anyRule(p, value, present) {
				return false
			}
		}
	}
	return true
}

func anyRule(rules []any, value any, present bool) bool {
	values := []any{value}
	if list, ok := value.([]any); ok && len(list) > 0 {
		values = list // one element that matches is enough
	}
	for _, rule := range rules {
		for _, v := range values {
			if ok, err := ruleMatches(rule, v, present); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// ruleMatches compares one rule with one value: a plain value by equality, an object by its operator. Rules are of
// leaves: an object matches none.
func ruleMatches(rule, value any, present bool) (bool, error) {
	if _, isObject := value.(map[string]any); isObject {
		value, present = nil, false
		if operator, ok := rule.(map[string]any); !ok || operator["exists"] != nil {
			return false, nil
		}
	}
	operator, ok := rule.(map[string]any)
	if !ok {
		return present && rule == value, nil
	}
	if len(operator) != 1 {
		return false, errors.New("a rule has one operator")
	}
	for name, operand := range operator {
		return operate(name, operand, value, present)
	}
	return false, nil
}

func operate(name string, operand, value any, present bool) (bool, error) {
	switch name {
	case "exists":
		want, ok := operand.(bool)
		if !ok {
			return false, errors.New("exists is true or false")
		}
		return present == want, nil
	case "prefix", "suffix", "equals-ignore-case":
		word, isWord := operand.(string)
		if !isWord {
			return false, fmt.Errorf("%s takes a text", name)
		}
		text, isText := value.(string)
		switch {
		case !isText:
			return false, nil
		case name == "prefix":
			return strings.HasPrefix(text, word), nil
		case name == "suffix":
			return strings.HasSuffix(text, word), nil
		}
		return strings.EqualFold(text, word), nil
	case "anything-but":
		others, isList := operand.([]any)
		if !isList {
			others = []any{operand}
		}
		for _, other := range others {
			switch other.(type) {
			case string, float64:
			default:
				return false, errors.New("anything-but takes texts and numbers here")
			}
		}
		return present && !slices.Contains(others, value), nil
	case "numeric":
		return numeric(operand, value)
	}
	return false, fmt.Errorf("the operator %q is not known here", name)
}

// numeric compares with [operator, number] or a range [operator, number, operator, number].
func numeric(operand, value any) (bool, error) {
	rule, _ := operand.([]any)
	if len(rule) != 2 && len(rule) != 4 {
		return false, errors.New("numeric takes an operator and a number, or two of each")
	}
	n, isNumber := value.(float64)
	all := isNumber
	for i := 0; i < len(rule); i += 2 {
		bound, ok := rule[i+1].(float64)
		if !ok {
			return false, errors.New("numeric compares with a number")
		}
		switch rule[i] {
		case "=":
			all = all && n == bound
		case "<":
			all = all && n < bound
		case "<=":
			all = all && n <= bound
		case ">":
			all = all && n > bound
		case ">=":
			all = all && n >= bound
		default:
			return false, fmt.Errorf("numeric does not know %v", rule[i])
		}
	}
	return all, nil
}
