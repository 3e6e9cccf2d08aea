package validate_test

import (
	"fmt"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// A body is compared with the declared model, and all that is wrong is said at once.
func Example() {
	schema, err := validate.Compile(service.Model{Name: "NewContact", Fields: []service.Field{
		{Name: "name", Type: service.String, Required: true, Max: 40},
		{Name: "email", Type: service.String, Required: true, Max: 254},
		{Name: "age", Type: service.Integer, Min: 18, Max: 150},
	}})
	if err != nil {
		panic(err)
	}
	_, err = schema.Body([]byte(`{"name":"Ada","age":12,"Email":"ada@example.com"}`))
	for _, f := range apperr.From(err).Fields {
		fmt.Println(f.Pointer, f.Code)
	}

	body, err := schema.Body([]byte(`{"name":" Ada\nLovelace ","email":"Ada@Example.COM"}`))
	fmt.Println(err)
	name, _ := validate.Text(body["name"].(string), validate.Size{Runes: 40})
	email, _ := validate.Email(body["email"].(string))
	fmt.Println(name, email)
	// Output:
	// /email required
	// /age too_small
	// /Email unknown
	// <nil>
	// Ada Lovelace ada@example.com
}
