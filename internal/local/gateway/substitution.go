package gateway

import (
	"regexp"
	"strings"
)

// substitution is text with $context, $stageVariables and method.request references, filled in without any escaping
// (page "Gateway responses for REST APIs in API Gateway": not processed by the Velocity engine).
type substitution struct {
	parts []part
}

// part is literal text, or a reference.
type part struct{ literal, reference string }

// contexts tell which $context names a place may use.
type contextSet int

const (
	responseContext  contextSet = iota // gateway responses, mappings
	accessLogContext                   // the access log, which knows more
)

var (
	reference = regexp.MustCompile(`\$(?:\{([A-Za-z]+(?:\.[A-Za-z0-9_-]+)+)\}|([A-Za-z]+(?:\.[A-Za-z0-9_-]+)+))`)
	// notSubstituted is what a reader takes for code and API Gateway sends as it is.
	notSubstituted = regexp.MustCompile(`\$[A-Za-z{!]|#(?:set|if|else|elseif|end|foreach)\b`)
)

func parseSubstitution(at, source string, set contextSet, p *problems) *substitution {
	s := &substitution{}
	rest := source
	for {
		found := reference.FindStringSubmatchIndex(rest)
		if found == nil {
			break
		}
		name := reference.ReplaceAllString(rest[found[0]:found[1]], "$1$2")
		checkReference(at, name, set, p)
		s.addLiteral(at, rest[:found[0]], p)
		s.parts = append(s.parts, part{reference: name})
		rest = rest[found[1]:]
	}
	s.addLiteral(at, rest, p)
	return s
}

func (s *substitution) addLiteral(at, text string, p *problems) {
	if code := notSubstituted.FindString(text); code != "" {
		p.add(at, "%q is not substituted here and would be sent as it is: this is no Velocity template", code)
	}
	if text != "" {
		s.parts = append(s.parts, part{literal: text})
	}
}

func checkReference(at, name string, set contextSet, p *problems) {
	root, rest, _ := strings.Cut(name, ".")
	switch {
	case root == "context" && (knownContext(rest) || set == accessLogContext && knownInAccessLog(rest)):
	case root == "stageVariables" && !strings.Contains(rest, "."):
	case set == responseContext && methodParameter(name) != (parameter{}):
	default:
		p.add(at, "$%s is not emulated", name)
	}
}

// methodParameter reads method.request.<where>.<name>.
func methodParameter(name string) parameter {
	rest, ok := strings.CutPrefix(name, "method.request.")
	where, param, _ := strings.Cut(rest, ".")
	in := map[string]string{"header": "header", "querystring": "query", "path": "path"}[where]
	if !ok || in == "" || param == "" {
		return parameter{}
	}
	return parameter{in, param}
}

// parseMapping reads the value of a responseParameters entry: 'literal', context.<path>, stageVariables.<name> or, where
// allowed, method.request.<where>.<name> (page "Parameter mapping examples for REST APIs in API Gateway").
func parseMapping(at, expression string, methodRequest bool, p *problems) *substitution {
	if len(expression) >= 2 && expression[0] == '\'' && expression[len(expression)-1] == '\'' {
		return &substitution{parts: []part{{literal: expression[1 : len(expression)-1]}}}
	}
	root, _, _ := strings.Cut(expression, ".")
	if root == "context" || root == "stageVariables" || methodRequest && methodParameter(expression) != (parameter{}) {
		checkReference(at, expression, responseContext, p)
		return &substitution{parts: []part{{reference: expression}}}
	}
	p.add(at, "%q is neither a 'literal' in single quotes nor a mapping that is emulated", expression)
	return &substitution{}
}

// fill gives the text for one call; missing stands for what has no value.
func (s *substitution) fill(c *call, missing string) string {
	var text strings.Builder
	for _, part := range s.parts {
		if part.reference == "" {
			text.WriteString(part.literal)
			continue
		}
		value := c.lookup(part.reference)
		if value == "" {
			value = missing
		}
		text.WriteString(value)
	}
	return text.String()
}

// lookup is the value of context.<path>, stageVariables.<name> or method.request.<where>.<name>.
func (c *call) lookup(reference string) string {
	root, rest, _ := strings.Cut(reference, ".")
	switch root {
	case "context":
		return c.contextValue(rest)
	case "stageVariables":
		return c.api.stageVariables[rest]
	default:
		return c.parameter(methodParameter(reference))
	}
}
