package bench

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// body is a request to record a transaction.
const body = `{"amount":"-12.34","currency":"EUR","category":"groceries","date":"2026-01-31","description":"Bread & butter"}`

// model is the declared model of that request.
func model(b *testing.B) service.Model {
	for _, r := range catalog.Backend().Routes() {
		if r.ID == "createTransaction" {
			return *r.Request
		}
	}
	require.FailNow(b, "createTransaction is not declared")
	return service.Model{}
}

// playground is the same request as go-playground/validator checks it. It lets pass what our guard refuses: repeated
// names, other cases of names, numbers and depth without bound.
type playground struct {
	Amount      string `json:"amount" validate:"required,max=21,amount"`
	Currency    string `json:"currency" validate:"required,len=3,currency"`
	Category    string `json:"category" validate:"required,max=40,category"`
	Date        string `json:"date" validate:"required,len=10,date"`
	Description string `json:"description" validate:"max=200"`
}

func BenchmarkValidate(b *testing.B) {
	m := model(b)
	b.Run("ours", func(b *testing.B) {
		s, err := validate.Compile(m)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Body([]byte(body)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("go-playground", func(b *testing.B) {
		v := validator.New()
		for _, f := range m.Fields {
			if f.Pattern != "" {
				pattern := regexp.MustCompile(f.Pattern)
				require.NoError(b, v.RegisterValidation(f.Name, func(l validator.FieldLevel) bool { return pattern.MatchString(l.Field().String()) }))
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			var in playground
			d := json.NewDecoder(strings.NewReader(body))
			d.DisallowUnknownFields()
			if err := d.Decode(&in); err != nil {
				b.Fatal(err)
			}
			if err := v.Struct(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("kin-openapi", func(b *testing.B) {
		s := openapi3.NewObjectSchema().WithoutAdditionalProperties()
		for _, f := range m.Fields {
			p := openapi3.NewStringSchema().WithMinLength(int64(f.Min))
			if f.Max > 0 {
				p = p.WithMaxLength(int64(f.Max))
			}
			if f.Pattern != "" {
				p = p.WithPattern(f.Pattern)
			}
			s.WithProperty(f.Name, p)
			if f.Required {
				s.Required = append(s.Required, f.Name)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			var in any
			if err := json.Unmarshal([]byte(body), &in); err != nil {
				b.Fatal(err)
			}
			if err := s.VisitJSON(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
