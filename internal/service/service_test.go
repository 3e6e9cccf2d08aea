package service_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/service"
)

// small is a valid declaration; each case of the tests below breaks one thing in it.
func small() service.Backend {
	model := func(name string) *service.Model {
		return &service.Model{Name: name, Fields: []service.Field{{Name: "name", Type: service.String, Required: true, Max: 10}}}
	}
	return service.Backend{
		Tables:  []service.Table{{Key: "things", Hash: "pk", Range: "sk", Indexes: []service.Index{{Key: "by-name", Hash: "name"}}}},
		Secrets: []service.Secret{{Key: "sauce"}},
		Keys:    []service.Key{{Key: "pii"}},
		Services: []service.Service{{Key: "shop", Functions: []service.Function{
			{Key: "guard", Size: service.SizeAuthorizer, Authorizes: true},
			{Key: "shop-api", Size: service.SizeAPI,
				Tables: []service.Access{
					{Table: "things", Actions: []string{"PutItem", "GetItem"}},
					{Table: "things", Index: "by-name", Actions: []string{"Query"}},
				},
				Secrets: []string{"sauce"}, Keys: []string{"pii"}, UserPool: []string{"AdminGetUser"},
				Routes: []service.Route{
					{ID: "make", Method: "POST", Path: "/things", Limit: service.LimitAPI, Status: 201, Idempotent: true, Request: model("NewThing"), Response: model("Thing")},
					{ID: "take", Method: "GET", Path: "/things/{id}", Limit: service.LimitAPI, Status: 200, Response: model("Thing")},
					{ID: "login", Method: "POST", Path: "/login", Caller: service.Public("no token yet"), Limit: service.LimitAuth, LimitBy: "name", Status: 204, Request: model("Login")},
				}},
		}}},
	}
}

func TestValidateAcceptsADeclarationWithoutFaults(t *testing.T) {
	require.NoError(t, service.Validate(small()))
}

func TestValidateNamesEveryFault(t *testing.T) {
	api := func(b *service.Backend) *service.Function { return &b.Services[0].Functions[1] }
	cases := map[string]struct {
		spoil func(*service.Backend)
		want  string
	}{
		"table_twice":            {func(b *service.Backend) { b.Tables = append(b.Tables, b.Tables[0]) }, "table things: declared twice"},
		"table_key":              {func(b *service.Backend) { b.Tables[0].Key = "Things!" }, `table "Things!": a key is`},
		"table_without_hash":     {func(b *service.Backend) { b.Tables[0].Hash = "" }, "table things: has no hash key"},
		"index_without_hash":     {func(b *service.Backend) { b.Tables[0].Indexes[0].Hash = "" }, "index things/by-name: has no hash key"},
		"service_empty":          {func(b *service.Backend) { b.Services = append(b.Services, service.Service{Key: "idle"}) }, "service idle: has no function"},
		"function_twice":         {func(b *service.Backend) { api(b).Key = "guard" }, "function guard: declared twice"},
		"no_size":                {func(b *service.Backend) { api(b).Size = "" }, "function shop-api: has no size"},
		"authorizer_with_routes": {func(b *service.Backend) { api(b).Authorizes = true }, "its handler gets one kind of event"},
		"two_authorizers":        {func(b *service.Backend) { api(b).Authorizes = true }, "2 functions authorize"},
		"no_authorizer":          {func(b *service.Backend) { b.Services[0].Functions = b.Services[0].Functions[1:] }, "no function authorizes"},
		"unknown_table":          {func(b *service.Backend) { api(b).Tables[0].Table = "ghosts" }, "table ghosts: is not declared"},
		"unknown_index":          {func(b *service.Backend) { api(b).Tables[1].Index = "by-age" }, `has no index "by-age"`},
		"no_action":              {func(b *service.Backend) { api(b).Tables[0].Actions = nil }, "names no action"},
		"scan":                   {func(b *service.Backend) { api(b).Tables[0].Actions = []string{"Scan"} }, `action "Scan" is not one of`},
		"wildcard":               {func(b *service.Backend) { api(b).Tables[0].Actions = []string{"*"} }, `action "*" is not one of`},
		"index_written":          {func(b *service.Backend) { api(b).Tables[1].Actions = []string{"PutItem"} }, "an index is only queried"},
		"action_twice":           {func(b *service.Backend) { api(b).Tables[0].Actions = []string{"GetItem", "GetItem"} }, "GetItem is declared twice"},
		"unknown_secret":         {func(b *service.Backend) { api(b).Secrets = []string{"ketchup"} }, `secret "ketchup" is not declared`},
		"unknown_key":            {func(b *service.Backend) { api(b).Keys = []string{"door"} }, `key "door" is not declared`},
		"pool_action":            {func(b *service.Backend) { api(b).UserPool = []string{"ListUsers"} }, `user pool action "ListUsers"`},
		"route_twice":            {func(b *service.Backend) { api(b).Routes[1].ID = "make" }, "route make: declared twice"},
		"operation_twice":        {func(b *service.Backend) { api(b).Routes[1] = api(b).Routes[0] }, "operation POST /things: declared twice"},
		"route_id":               {func(b *service.Backend) { api(b).Routes[0].ID = "Make-It" }, "an id is a lower camel case name"},
		"route_path":             {func(b *service.Backend) { api(b).Routes[0].Path = "things" }, `path "things"`},
		"proxy_path":             {func(b *service.Backend) { api(b).Routes[0].Path = "/{proxy+}" }, `path "/{proxy+}"`},
		"route_method":           {func(b *service.Backend) { api(b).Routes[0].Method = "ANY" }, `method "ANY"`},
		"no_limit_for_users":     {func(b *service.Backend) { api(b).Routes[1].Limit = "" }, "only a public GET"},
		"no_limit_for_public":    {func(b *service.Backend) { api(b).Routes[2].Limit = "" }, "only a public GET"},
		"limit_by_unknown":       {func(b *service.Backend) { api(b).Routes[2].LimitBy = "color" }, "LimitBy names a required request field"},
		"limit_by_for_users":     {func(b *service.Backend) { api(b).Routes[0].LimitBy = "name" }, "LimitBy names a required request field"},
		"get_with_body":          {func(b *service.Backend) { api(b).Routes[1].Request = api(b).Routes[0].Request }, "GET carries no request body"},
		"no_content_with_model":  {func(b *service.Backend) { api(b).Routes[1].Status = 204 }, "a status of 204 has no response model"},
		"content_without_model":  {func(b *service.Backend) { api(b).Routes[2].Status = 200 }, "a status of 204 has no response model"},
		"max_body_without_body":  {func(b *service.Backend) { api(b).Routes[1].MaxBody = 1 << 10 }, "MaxBody is 1 to 1048576 bytes of a request body"},
		"max_body_below_one":     {func(b *service.Backend) { api(b).Routes[0].MaxBody = -1 }, "MaxBody is 1 to 1048576 bytes of a request body"},
		"max_body_above_edge":    {func(b *service.Backend) { api(b).Routes[0].MaxBody = 1<<20 + 1 }, "MaxBody is 1 to 1048576 bytes of a request body"},
		"status_of_failure":      {func(b *service.Backend) { api(b).Routes[0].Status = 404 }, "status 404 is not a success"},
		"model_name":             {func(b *service.Backend) { api(b).Routes[0].Request.Name = "new_thing" }, `model name "new_thing"`},
		"model_name_taken":       {func(b *service.Backend) { api(b).Routes[0].Request.Name = "Problem" }, `model name "Problem"`},
		"models_differ":          {func(b *service.Backend) { api(b).Routes[1].Response.Fields[0].Max = 11 }, "model Thing is declared twice with different fields"},
		"field_twice":            {func(b *service.Backend) { m := api(b).Routes[0].Request; m.Fields = append(m.Fields, m.Fields[0]) }, `two fields "name"`},
		"field_without_name":     {func(b *service.Backend) { api(b).Routes[0].Request.Fields[0].Name = "" }, "a field has no name"},
		"field_type":             {func(b *service.Backend) { api(b).Routes[0].Request.Fields[0].Type = "float" }, `has type "float"`},
		"array_without_model":    {func(b *service.Backend) { api(b).Routes[0].Request.Fields[0].Type = service.Array }, "needs a model exactly"},
		"pattern_of_integer": {func(b *service.Backend) {
			f := &api(b).Routes[0].Request.Fields[0]
			f.Type, f.Pattern = service.Integer, "a"
		}, "has a pattern or enum but is no string"},
		"pattern_broken":     {func(b *service.Backend) { api(b).Routes[0].Request.Fields[0].Pattern = "(" }, "missing closing )"},
		"bounds_crossed":     {func(b *service.Backend) { api(b).Routes[0].Request.Fields[0].Min = 11 }, "minimum above its maximum"},
		"query_without_name": {func(b *service.Backend) { api(b).Routes[1].Query = []service.Field{{Type: service.String}} }, "query: a field has no name"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := small()
			c.spoil(&b)
			require.ErrorContains(t, service.Validate(b), c.want)
		})
	}
}

func TestValidateReportsAllProblemsAtOnce(t *testing.T) {
	b := small()
	b.Tables[0].Hash = ""
	b.Services[0].Functions[1].Size = ""
	b.Services[0].Functions[1].Routes[0].Status = 99
	err := service.Validate(b)
	require.ErrorContains(t, err, "has no hash key")
	require.ErrorContains(t, err, "has no size")
	require.ErrorContains(t, err, "status 99")
}

func TestEveryPostTakesEffectOnceOrSaysWhyNot(t *testing.T) {
	api := func(b *service.Backend) *service.Function { return &b.Services[0].Functions[1] }
	login := map[string]string{"login": "A second session is harmless."}
	require.NoError(t, service.CheckIdempotency(small(), login))
	cases := map[string]struct {
		spoil  func(*service.Backend)
		exempt map[string]string
		want   string
	}{
		"neither":          {func(b *service.Backend) { api(b).Routes[0].Idempotent = false }, login, "route make: a POST is idempotent, or exempt by name with a reason"},
		"not_listed":       {func(*service.Backend) {}, nil, "route login: a POST is idempotent, or exempt"},
		"both":             {func(b *service.Backend) { api(b).Routes[2].Idempotent = true }, login, "route login: is idempotent and exempt"},
		"no_reason":        {func(*service.Backend) {}, map[string]string{"login": " "}, "route login: is exempt without a reason"},
		"no_such_route":    {func(*service.Backend) {}, map[string]string{"login": "x", "logon": "x"}, "route logon: is exempt, but there is no such POST"},
		"renamed":          {func(b *service.Backend) { api(b).Routes[2].ID = "signIn" }, login, "route signIn: a POST is idempotent"},
		"other_method":     {func(*service.Backend) {}, map[string]string{"login": "x", "take": "x"}, "route take: is exempt, but there is no such POST"},
		"idempotent_patch": {func(b *service.Backend) { api(b).Routes[1].Method, api(b).Routes[1].Idempotent = "PATCH", true }, login, "route take: PATCH takes no Idempotency-Key"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := small()
			c.spoil(&b)
			require.ErrorContains(t, service.CheckIdempotency(b, c.exempt), c.want)
		})
	}
	b := small()
	api(&b).Routes[0].Idempotent = false
	err := service.CheckIdempotency(b, map[string]string{"nobody": "x"})
	for _, id := range []string{"make", "login", "nobody"} {
		require.ErrorContains(t, err, "route "+id+":", "all at once")
	}
}

func TestStatementsAreExactMergedAndSorted(t *testing.T) {
	f, _ := small().Services[0].Function("shop-api")
	f.Tables = append(f.Tables, service.Access{Table: "things", Actions: []string{"DeleteItem"}, Reason: "Spring cleaning."})
	require.Equal(t, []service.Statement{
		{Resource: service.Resource{Kind: service.KindIndex, Name: "things", Index: "by-name"}, Actions: []string{"dynamodb:Query"}},
		{Resource: service.Resource{Kind: service.KindKey, Name: "pii"}, Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}},
		{Resource: service.Resource{Kind: service.KindSecret, Name: "sauce"}, Actions: []string{"secretsmanager:GetSecretValue"}},
		{Resource: service.Resource{Kind: service.KindTable, Name: "things"}, Actions: []string{"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"}, Reason: "Spring cleaning."},
		{Resource: service.Resource{Kind: service.KindUserPool}, Actions: []string{"cognito-idp:AdminGetUser"}},
	}, service.Statements(f))
	require.Equal(t, []string{"cognito-idp", "dynamodb", "kms", "secretsmanager"}, service.Services(f))
}

func TestEnvironmentNamesResourcesAndLimitsOnce(t *testing.T) {
	f, _ := small().Services[0].Function("shop-api")
	var names []string
	for _, v := range service.Environment(f) {
		names = append(names, v.Name)
	}
	require.Equal(t, []string{"KEY_ARN_PII", "LIMIT_API", "LIMIT_AUTH", "LIMIT_AUTH_IP", "SECRET_ARN_SAUCE", "TABLE_THINGS", "USER_POOL_CLIENT_ID", "USER_POOL_ID"}, names)
}

func TestOpenAPIHoldsRoutesModelsAndSecurity(t *testing.T) {
	got, err := json.Marshal(service.OpenAPI(small(), "Shop", "1"))
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []map[string][]string
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct{ Schema map[string]string }
			}
			Responses map[string]any
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(got, &doc))

	mk := doc.Paths["/things"]["post"]
	require.Equal(t, "make", mk.OperationID)
	require.Equal(t, []map[string][]string{{"user": {}}}, mk.Security)
	require.Equal(t, "#/components/schemas/NewThing", mk.RequestBody.Content["application/json"].Schema["$ref"])
	require.Equal(t, "Idempotency-Key", mk.Parameters[0].Name)
	require.Contains(t, mk.Responses, "201")

	require.Empty(t, doc.Paths["/login"]["post"].Security, "a public route has no security requirement")
	require.Equal(t, "id", doc.Paths["/things/{id}"]["get"].Parameters[0].Name)
	require.Equal(t, false, doc.Components.Schemas["NewThing"]["additionalProperties"])
	require.Equal(t, []any{"name"}, doc.Components.Schemas["NewThing"]["required"])

	again, err := json.Marshal(service.OpenAPI(small(), "Shop", "1"))
	require.NoError(t, err)
	require.Equal(t, string(got), string(again))
}
