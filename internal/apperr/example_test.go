package apperr_test

import (
	"errors"
	"fmt"

	"github.com/expenzez/aws-backend/internal/apperr"
)

// A caller sees the public half of an error, a log the other.
func Example() {
	cause := errors.New("dynamodb: ConditionalCheckFailedException")
	err := fmt.Errorf("transactions: change: %w", apperr.New(apperr.Conflict, "version_conflict", "It was changed meanwhile. Read it again.").Because(cause))

	e := apperr.From(err)
	fmt.Println(e.Kind.Status(), string(e.Render("6f1c2f6e")))
	fmt.Println(e)
	fmt.Println(string(apperr.From(cause).Render("6f1c2f6e")))
	// Output:
	// 409 {"type":"about:blank","title":"Conflict","status":409,"code":"version_conflict","detail":"It was changed meanwhile. Read it again.","instance":"urn:request:6f1c2f6e"}
	// version_conflict: dynamodb: ConditionalCheckFailedException
	// {"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal","detail":"Something went wrong on our side.","instance":"urn:request:6f1c2f6e"}
}
