package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/bootstrap"
	"github.com/expenzez/aws-backend/internal/service"
)

// notes is a service with one function.
func notes() service.Service {
	return service.Service{Key: "notes", Functions: []service.Function{{
		Key: "notes-api", Tables: []service.Access{{Table: "notes", Actions: []string{"GetItem"}}},
	}}}
}

func deployed(name string) (string, bool) {
	value, ok := map[string]string{
		service.EnvironmentVariable: "dev", service.IssuerVariable: "https://api.example.com",
		service.TableVariable("notes"): "expenzez-dev-notes", "AWS_REGION": "eu-west-2",
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "none",
	}[name]
	return value, ok
}

// echo answers with the table that the function was told, and what it was sent.
type echo struct{ table string }

func (e echo) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	return []byte(e.table + " " + string(payload)), nil
}

func made(e bootstrap.Environment) (lambda.Handler, error) {
	if e.DB == nil || e.Log == nil {
		return nil, errors.New("something is missing")
	}
	return echo{e.Values.Table("notes")}, nil
}

func Example() {
	handler, err := bootstrap.Build(notes(), "notes-api", deployed, made)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, _ := handler.Invoke(context.Background(), []byte(`"hello"`))
	fmt.Println(string(out))
	// Output: expenzez-dev-notes "hello"
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	without := func(variable string) bootstrap.Lookup {
		return func(name string) (string, bool) {
			if name == variable {
				return "", false
			}
			return deployed(name)
		}
	}
	broken := func(bootstrap.Environment) (lambda.Handler, error) { return nil, errors.New("no handler") }
	cases := map[string]struct {
		key    string
		lookup bootstrap.Lookup
		maker  func(bootstrap.Environment) (lambda.Handler, error)
		want   string
	}{
		"another_function": {"notes-stream", deployed, made, "service notes declares no function notes-stream"},
		"a_variable":       {"notes-api", without("TABLE_NOTES"), made, "TABLE_NOTES is missing"},
		"the_region":       {"notes-api", without("AWS_REGION"), made, "AWS_REGION is missing"},
		"no_handler":       {"notes-api", deployed, broken, "no handler"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := bootstrap.Build(notes(), c.key, c.lookup, c.maker)
			require.ErrorContains(t, err, c.want)
			require.Nil(t, h)
		})
	}
}
