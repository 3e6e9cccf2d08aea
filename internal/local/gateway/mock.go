package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/expenzez/aws-backend/internal/local/gateway/vtl"
)

// answerMock runs a mock integration: the request template says a status, which chooses the integration response
// (page "Mock integrations for REST APIs in API Gateway").
func (g *Gateway) answerMock(c *call) (*response, *fault) {
	i := c.route.integration
	request, f := c.mockRequest(i)
	if f != nil {
		return nil, f
	}
	var said struct{ StatusCode *int }
	if err := json.Unmarshal([]byte(request), &said); err != nil || said.StatusCode == nil {
		return nil, &fault{kind: default5XX, reason: "Unable to parse statusCode: it should be an integer in the request template"}
	}
	for _, candidate := range i.responses {
		if candidate.pattern == nil || candidate.pattern.MatchString(strconv.Itoa(*said.StatusCode)) {
			return c.mockAnswer(candidate), nil
		}
	}
	return nil, &fault{kind: apiConfiguration, reason: "No match for output mapping and no default output mapping configured"}
}

// mockRequest renders the template of the request's content type, which is application/json when none is sent (page
// "Method request behavior for payloads without mapping templates").
func (c *call) mockRequest(i integration) (string, *fault) {
	media := mediaType(c.header("Content-Type"))
	if media == "" {
		media = plainJSON
	}
	if template := i.request[media]; template != nil {
		return template.Render(c.templateData()).Body, nil
	}
	if i.passthrough == "NEVER" || i.passthrough == "WHEN_NO_TEMPLATES" && len(i.request) > 0 {
		return "", &fault{kind: unsupportedMedia}
	}
	return string(c.body), nil
}

func (c *call) mockAnswer(m mockResponse) *response {
	answer := &response{status: m.status, header: http.Header{"Content-Type": {plainJSON}}}
	for name, value := range m.headers {
		answer.header.Set(name, value.fill(c, ""))
	}
	media, template := choose(m.templates, c.header("Accept"))
	if template != nil {
		out := template.Render(c.templateData())
		answer.body = []byte(out.Body)
		answer.header.Set("Content-Type", media)
		if out.Status != 0 {
			answer.status = out.Status
		}
		for name, value := range out.Headers {
			answer.header.Set(name, value)
		}
	}
	answer.header.Set("X-Amzn-Trace-Id", c.trace)
	return answer
}

func (c *call) templateData() vtl.Data {
	return vtl.Data{
		Param:         c.param,
		Context:       c.contextValue,
		StageVariable: func(name string) string { return c.api.stageVariables[name] },
	}
}
