package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
)

// A function declares its routes and answers them with values and errors.
func Example() {
	status := &service.Model{Name: "Status", Fields: []service.Field{{Name: "status", Type: service.String, Required: true}}}
	f := service.Function{Key: "demo", Routes: []service.Route{
		{ID: "health", Method: "GET", Path: "/health", Caller: service.Public("Nothing to hide."), Status: 200, Response: status},
		{ID: "teapot", Method: "GET", Path: "/teapot", Caller: service.Public("Nothing to hide."), Status: 200, Response: status},
	}}
	api, err := rest.New(f, map[string]rest.Handler{
		"health": func(context.Context, *rest.Request) (rest.Response, error) {
			return rest.Response{Body: map[string]string{"status": "ok"}}, nil
		},
		"teapot": func(context.Context, *rest.Request) (rest.Response, error) {
			return rest.Response{}, apperr.New(apperr.Conflict, "teapot", "It is a teapot.")
		},
	}, rest.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/health", "/teapot"} {
		out, err := api.Invoke(context.Background(), []byte(`{"resource":"`+path+`","httpMethod":"GET","requestContext":{"requestId":"1"}}`))
		var reply struct {
			StatusCode int
			Body       string
		}
		if err == nil {
			err = json.Unmarshal(out, &reply)
		}
		fmt.Println(reply.StatusCode, reply.Body, err)
	}
	// Output:
	// 200 {"status":"ok"} <nil>
	// 409 {"type":"about:blank","title":"Conflict","status":409,"code":"teapot","detail":"It is a teapot.","instance":"urn:request:1"} <nil>
}
