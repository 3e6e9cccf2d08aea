package applemem_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/expenzez/aws-backend/internal/apple/applemem"
)

func Example() {
	server := applemem.New(keys[0](), time.Now)
	get := func() int {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/auth/keys", nil))
		return w.Code
	}
	server.Script("/auth/keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	fmt.Println(get(), get())
	// Output: 503 200
}
