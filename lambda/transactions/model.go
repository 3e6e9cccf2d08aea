package transactions

// The bodies of requests and responses. A test holds them and the declared models together.
type (
	newTransaction struct {
		Amount      string `json:"amount"`
		Currency    string `json:"currency"`
		Category    string `json:"category"`
		Date        string `json:"date"`
		Description string `json:"description,omitempty"`
	}
	transactionChange struct {
		Version     int64   `json:"version"`
		Amount      *string `json:"amount"`
		Currency    *string `json:"currency"`
		Category    *string `json:"category"`
		Date        *string `json:"date"`
		Description *string `json:"description"`
	}
	transaction struct {
		ID          string `json:"id"`
		Amount      string `json:"amount"`
		Currency    string `json:"currency"`
		Category    string `json:"category"`
		Date        string `json:"date"`
		Description string `json:"description,omitempty"`
		Version     int64  `json:"version"`
		CreatedAt   string `json:"createdAt"`
		UpdatedAt   string `json:"updatedAt"`
	}
	transactionPage struct {
		Items      []transaction `json:"items"`
		NextCursor string        `json:"nextCursor,omitempty"`
	}
)
