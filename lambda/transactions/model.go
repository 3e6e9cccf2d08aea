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

	importRequest struct {
		Rows []importRow `json:"rows"`
	}
	importRow struct {
		Amount      *string `json:"amount,omitempty"`
		Currency    *string `json:"currency,omitempty"`
		Category    *string `json:"category,omitempty"`
		Date        *string `json:"date,omitempty"`
		Description *string `json:"description,omitempty"`
		Reference   *string `json:"reference,omitempty"`
	}
	importResult struct {
		Rows []rowResult `json:"rows"`
	}
	rowResult struct {
		Status string     `json:"status"`
		ID     string     `json:"id,omitempty"`
		Errors []rowFault `json:"errors,omitempty"`
	}
	rowFault struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
	}

	newCategory struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	categoryChange struct {
		Version int64  `json:"version"`
		Name    string `json:"name"`
	}
	category struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Origin  string `json:"origin"`
		Version int64  `json:"version"`
	}
	categoryList struct {
		Items []category `json:"items"`
	}

	newBudget struct {
		Category string `json:"category"`
		Currency string `json:"currency"`
		Limit    string `json:"limit"`
	}
	budgetChange struct {
		Version int64  `json:"version"`
		Limit   string `json:"limit"`
	}
	budget struct {
		ID        string `json:"id"`
		Category  string `json:"category"`
		Currency  string `json:"currency"`
		Limit     string `json:"limit"`
		Version   int64  `json:"version"`
		CreatedAt string `json:"createdAt"`
		UpdatedAt string `json:"updatedAt"`
	}
	budgetPage struct {
		Items      []budget `json:"items"`
		NextCursor string   `json:"nextCursor,omitempty"`
	}

	summary struct {
		Month    string `json:"month"`
		Currency string `json:"currency"`
		Category string `json:"category"`
		Count    int64  `json:"count"`
		Spent    string `json:"spent"`
		Received string `json:"received"`
	}
	summaryPage struct {
		Items      []summary `json:"items"`
		NextCursor string    `json:"nextCursor,omitempty"`
	}
)

// What becomes of a row of an import; the first letters differ.
const (
	rowCreated   = "created"
	rowDuplicate = "duplicate"
	rowInvalid   = "invalid"
)
