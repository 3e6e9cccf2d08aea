package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

var (
	thing  = service.Model{Name: "Thing", Fields: []service.Field{{Name: "kind", Type: service.String, Required: true}}}
	person = service.Model{Name: "Person", Fields: []service.Field{
		{Name: "name", Type: service.String, Required: true, Min: 2, Max: 5, Pattern: `^\p{Lu}`},
		{Name: "age", Type: service.Integer, Min: -1, Max: 150},
		{Name: "admin", Type: service.Boolean},
		{Name: "color", Type: service.String, Enum: []string{"red", "green"}},
		{Name: "pets", Type: service.Array, Min: 1, Max: 2, Model: &thing},
		{Name: "home", Type: service.Object, Model: &thing},
		{Name: "a/b~c", Type: service.Boolean},
	}}
)

func compile(t testing.TB, m service.Model) *validate.Schema {
	t.Helper()
	s, err := validate.Compile(m)
	require.NoError(t, err)
	return s
}

func TestSchemaNamesEveryFault(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		body string
		want []string // pointer and code
	}{
		"not_an_object":         {`[]`, []string{" type"}},
		"null":                  {`null`, []string{" type"}},
		"empty":                 {`{}`, []string{"/name required"}},
		"required_is_null":      {`{"name":null}`, []string{"/name type"}},
		"optional_is_null":      {`{"name":"Ada","age":null}`, []string{"/age type"}},
		"other_case":            {`{"Name":"Ada"}`, []string{"/name required", "/Name unknown"}},
		"unknown_sorted":        {`{"name":"Ada","z":1,"b":1}`, []string{"/b unknown", "/z unknown"}},
		"unknown_escaped":       {`{"name":"Ada","x/y~z":1}`, []string{"/x~1y~0z unknown"}},
		"known_escaped":         {`{"name":"Ada","a/b~c":1}`, []string{"/a~1b~0c type"}},
		"string_is_number":      {`{"name":1}`, []string{"/name type"}},
		"short":                 {`{"name":"A"}`, []string{"/name too_short"}},
		"long":                  {`{"name":"Adaada"}`, []string{"/name too_long"}},
		"pattern":               {`{"name":"ada"}`, []string{"/name pattern"}},
		"enum":                  {`{"name":"Ada","color":"blue"}`, []string{"/color enum"}},
		"integer_is_string":     {`{"name":"Ada","age":"3"}`, []string{"/age type"}},
		"integer_with_point":    {`{"name":"Ada","age":3.0}`, []string{"/age type"}},
		"integer_exponent":      {`{"name":"Ada","age":1e2}`, []string{"/age type"}},
		"integer_as_a_float_is": {`{"name":"Ada","age":9007199254740993}`, []string{"/age too_large"}},
		"integer_beyond_int64":  {`{"name":"Ada","age":9223372036854775808}`, []string{"/age type"}},
		"integer_small":         {`{"name":"Ada","age":-2}`, []string{"/age too_small"}},
		"integer_large":         {`{"name":"Ada","age":151}`, []string{"/age too_large"}},
		"boolean_is_string":     {`{"name":"Ada","admin":"true"}`, []string{"/admin type"}},
		"array_is_object":       {`{"name":"Ada","pets":{}}`, []string{"/pets type"}},
		"array_short":           {`{"name":"Ada","pets":[]}`, []string{"/pets too_short"}},
		"array_long":            {`{"name":"Ada","pets":[1,2,3]}`, []string{"/pets too_long"}},
		"array_item":            {`{"name":"Ada","pets":[{"kind":"cat"},{"kind":1,"x":1}]}`, []string{"/pets/1/kind type", "/pets/1/x unknown"}},
		"object_is_array":       {`{"name":"Ada","home":[]}`, []string{"/home type"}},
		"object_member":         {`{"name":"Ada","home":{}}`, []string{"/home/kind required"}},
		"all_at_once":           {`{"age":"x","admin":1,"nope":1}`, []string{"/name required", "/age type", "/admin type", "/nope unknown"}},
	}
	s := compile(t, person)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Body([]byte(c.body))
			e := apperr.From(err)
			require.Equal(t, apperr.Invalid, e.Kind)
			require.Equal(t, "validation_failed", e.Code)
			require.Equal(t, c.want, faults(e))
		})
	}
}

func faults(e *apperr.Error) []string {
	var all []string
	for _, f := range e.Fields {
		all = append(all, f.Pointer+f.Parameter+" "+f.Code)
	}
	return all
}

func TestSchemaAccepts(t *testing.T) {
	t.Parallel()
	s := compile(t, person)
	for _, body := range []string{
		`{"name":"Ada"}`, `{"name":"ÀÉÎÕÜ"}`, `{"name":"Ada","age":0,"admin":false,"color":"green","pets":[{"kind":""}],"home":{"kind":"x"}}`,
		`{"name":"Ada","age":-1}`, `{"name":"Ada","age":150}`,
	} {
		got, err := s.Body([]byte(body))
		require.NoError(t, err, body)
		require.Contains(t, got, "name")
	}
}

func TestSchemaCapsFaultsAndNames(t *testing.T) {
	t.Parallel()
	for n, more := range map[int]bool{validate.MaxFaults - 1: false, validate.MaxFaults: false, validate.MaxFaults + 1: true, 500: true} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%s%d":1`, strings.Repeat("n", 500), i)
		}
		_, err := compile(t, person).Body([]byte(`{"name":"Ada"` + b.String() + `}`))
		requireCapped(t, apperr.From(err).Fields, n, more)

		values := map[string][]string{"name": {"Ada"}}
		for i := range n {
			values[fmt.Sprint(strings.Repeat("n", 500), i)] = []string{"1"}
		}
		_, err = compile(t, person).Query(values)
		requireCapped(t, apperr.From(err).Fields, n, more)

		all := make([]apperr.Field, n)
		requireCapped(t, validate.Refuse(all...).Fields, n, more)
		require.Equal(t, make([]apperr.Field, n), all, "the caller's list is its own")
	}
}

func requireCapped(t *testing.T, faults []apperr.Field, n int, more bool) {
	t.Helper()
	require.Len(t, faults, min(n, validate.MaxFaults))
	for _, f := range faults {
		require.Less(t, len(f.Pointer+f.Parameter), 80)
	}
	last := faults[len(faults)-1]
	require.Equal(t, more, last.Code == validate.CodeMore)
	require.Equal(t, more, last.Pointer+last.Parameter == "" && last.Detail != "")
}

func TestSchemaNeverRepeatsValues(t *testing.T) {
	t.Parallel()
	_, err := compile(t, person).Body([]byte(`{"name":"hunter2","color":"hunter2","age":"hunter2","home":"hunter2"}`))
	e := apperr.From(err)
	require.Len(t, e.Fields, 4)
	require.NotContains(t, string(e.Render("")), "hunter2")
}

func TestCompileRefusesBrokenPatterns(t *testing.T) {
	t.Parallel()
	broken := service.Field{Name: "x", Type: service.String, Pattern: "("}
	_, err := validate.CompileFields([]service.Field{broken})
	require.ErrorContains(t, err, "field x")
	_, err = validate.CompileFields([]service.Field{{Name: "y", Type: service.Object, Model: &service.Model{Fields: []service.Field{broken}}}})
	require.ErrorContains(t, err, "field y: validate: field x")
}

func TestTypeWithoutMeaningIsAFault(t *testing.T) {
	t.Parallel()
	s := compile(t, service.Model{Fields: []service.Field{{Name: "x", Type: "float"}}})
	_, err := s.Body([]byte(`{"x":1}`))
	require.Equal(t, []string{"/x type"}, faults(apperr.From(err)))
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	s, err := validate.CompileFields([]service.Field{
		{Name: "month", Type: service.String, Pattern: `^\d{4}$`, Required: true},
		{Name: "limit", Type: service.Integer, Min: 1, Max: 100},
		{Name: "deep", Type: service.Boolean},
	})
	require.NoError(t, err)
	cases := map[string]struct {
		query map[string][]string
		want  []string
	}{
		"missing":       {nil, []string{"month required"}},
		"unknown":       {map[string][]string{"month": {"2026"}, "nope": {"1"}}, []string{"nope unknown"}},
		"repeated":      {map[string][]string{"month": {"2026", "2027"}}, []string{"month repeated"}},
		"no_value":      {map[string][]string{"month": {}}, []string{"month repeated"}},
		"pattern":       {map[string][]string{"month": {"now"}}, []string{"month pattern"}},
		"integer":       {map[string][]string{"month": {"2026"}, "limit": {"ten"}}, []string{"limit type"}},
		"integer_large": {map[string][]string{"month": {"2026"}, "limit": {"101"}}, []string{"limit too_large"}},
		"integer_plus":  {map[string][]string{"month": {"2026"}, "limit": {"+5"}}, []string{"limit type"}},
		"integer_zeros": {map[string][]string{"month": {"2026"}, "limit": {"007"}}, []string{"limit type"}},
		"integer_point": {map[string][]string{"month": {"2026"}, "limit": {"5.0"}}, []string{"limit type"}},
		"integer_space": {map[string][]string{"month": {"2026"}, "limit": {"5 "}}, []string{"limit type"}},
		"integer_long":  {map[string][]string{"month": {"2026"}, "limit": {strings.Repeat("1", 40)}}, []string{"limit type"}},
		"other_case":    {map[string][]string{"Month": {"2026"}}, []string{"Month unknown", "month required"}},
		"integer_zero":  {map[string][]string{"month": {"2026"}, "limit": {"0"}}, []string{"limit too_small"}},
		"boolean":       {map[string][]string{"month": {"2026"}, "deep": {"yes"}}, []string{"deep type"}},
		"all":           {map[string][]string{"deep": {""}, "limit": {""}}, []string{"deep type", "limit type", "month required"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Query(c.query)
			require.Equal(t, c.want, faults(apperr.From(err)))
			for _, f := range apperr.From(err).Fields {
				require.Empty(t, f.Pointer)
			}
		})
	}
	got, err := s.Query(map[string][]string{"month": {"2026"}, "limit": {"100"}, "deep": {"true"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"month": "2026", "limit": "100", "deep": "true"}, got)
}

func TestEveryDeclaredModelAndQueryCompiles(t *testing.T) {
	t.Parallel()
	for _, f := range catalog.Backend().Functions() {
		for _, r := range f.Routes {
			for _, m := range []*service.Model{r.Request, r.Response} {
				if m != nil {
					compile(t, *m)
				}
			}
			_, err := validate.CompileFields(r.Query)
			require.NoError(t, err)
		}
	}
}
