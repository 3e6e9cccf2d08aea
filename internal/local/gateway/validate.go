package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// validate applies the method's request validator (page "Request validation for REST APIs in API Gateway"). Required
// parameters must be there and not blank; their type is not checked.
func (c *call) validate() *fault {
	var missing []string
	for _, p := range c.route.required {
		if strings.TrimSpace(c.parameter(p)) == "" {
			missing = append(missing, p.name)
		}
	}
	if len(missing) > 0 {
		message := fmt.Sprintf("Missing required request parameters: [%s]", strings.Join(missing, ", "))
		return &fault{kind: badParameters, message: message, validation: message}
	}
	return c.validateBody()
}

// validateBody checks the body against the model of its content type, which is application/json when none is sent. A
// content type without a model is not checked, and a proxy integration passes it on. An empty body counts as {}.
func (c *call) validateBody() *fault {
	media := mediaType(c.header("Content-Type"))
	if media == "" {
		media = plainJSON
	}
	model := c.route.models[media]
	if model == nil {
		model = c.route.models["$default"]
	}
	if model == nil {
		return nil
	}
	body := c.body
	if len(body) == 0 {
		body = []byte("{}")
	}
	value, err := jsonValue(body)
	if err == nil {
		err = model.Validate(value)
	}
	if err != nil {
		return &fault{kind: badBody, message: "Invalid request body", validation: explain(err), reason: explain(err)}
	}
	return nil
}

// explain lists what is wrong, by place and rule, without the values: they may be personal.
func explain(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return "[the body is not JSON]"
	}
	var found []string
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			found = append(found, fmt.Sprintf("/%s: %s", strings.Join(e.InstanceLocation, "/"), strings.Join(e.ErrorKind.KeywordPath(), "/")))
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(invalid)
	return "[" + strings.Join(found, ", ") + "]"
}
