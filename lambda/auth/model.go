package auth

import "github.com/expenzez/aws-backend/internal/token"

// The bodies of requests and responses. A test holds them and the declared models together.
type (
	registration struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	confirmation struct {
		Email string `json:"email"`
		Code  string `json:"code"`
	}
	resending struct {
		Email string `json:"email"`
	}
	credentials struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	renewal struct {
		RefreshToken string `json:"refreshToken"`
	}
	accepted struct {
		Status string `json:"status"`
	}
	tokens struct {
		AccessToken  string `json:"accessToken"`
		TokenType    string `json:"tokenType"`
		ExpiresIn    int    `json:"expiresIn"`
		RefreshToken string `json:"refreshToken"`
	}
	publicKeys struct {
		Keys []token.JWK `json:"keys"`
	}
	healthy struct {
		Status string `json:"status"`
	}
)
