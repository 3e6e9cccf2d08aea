// Package catalog is the declaration of the backend: what each service of Expenzez exposes, stores and may touch.
// It imports only the vocabulary. ACCESS.md beside this file is derived from it and compared on every test run.
package catalog

import "github.com/expenzez/aws-backend/internal/service"

// Backend declares everything that is deployed.
func Backend() service.Backend {
	return service.Backend{
		Tables: []service.Table{
			{Key: "users", Does: "One item per person, and the wrapped keysets that encrypt personal fields.",
				Hash: "pk", Critical: true, PII: []string{"email"}},
			{Key: "sessions", Does: "Signed-in devices: the hash of the current refresh token and its lineage.",
				Hash: "pk", TTL: "ttl", Critical: true},
			{Key: "security-events", Does: "What happened to an account, for the person and for support.",
				Hash: "pk", Range: "sk", TTL: "ttl", Critical: true},
			{Key: "login-attempts", Does: "Failed sign-ins per account, for the lockout.", Hash: "pk", TTL: "ttl"},
			// What people write about transactions lies encrypted at rest with the table; no attribute is one that PII names.
			{Key: "transactions", Does: "The money that people record, and for a week what imports have done.", Hash: "pk", Range: "sk", TTL: "ttl", Critical: true,
				Indexes: []service.Index{
					{Key: "by-date", Hash: "pk", Range: "byDate"},
					{Key: "by-category", Hash: "pk", Range: "byCategory"},
					{Key: "by-amount", Hash: "pk", Range: "byAmount"},
					{Key: "by-description", Hash: "pk", Range: "byDescription"},
				}},
			{Key: "monthly-summaries", Does: "What was spent and received by month, currency and category, and which of it was told or counted already. It can be computed anew.",
				Hash: "pk", Range: "sk", TTL: "ttl"},
			{Key: "budgets", Does: "Budgets, and the categories that people named.", Hash: "pk", Range: "sk", Critical: true},
			{Key: "rate-limits", Does: "Counters of the caller limits, and marks of revoked tokens beside them.", Hash: "pk", TTL: "ttl"},
			{Key: "revoked-tokens", Does: "Sessions whose access tokens are refused before they expire.", Hash: "pk", TTL: "ttl"},
			{Key: "idempotency", Does: "Answers to requests that must take effect once.", Hash: "pk", TTL: "ttl"},
			{Key: "signing-keys", Does: "Public keys of access tokens.", Hash: "pk", Range: "sk"},
		},
		Secrets: []service.Secret{
			{Key: "jwt", Does: "The private key that signs access tokens."},
		},
		Keys: []service.Key{
			{Key: "pii", Does: "Wraps the keysets that encrypt personal fields."},
		},
		Services: []service.Service{Auth(), Transactions()},
	}
}

// admission is what every function with authenticated routes needs before it does its own work.
func admission() []service.Access {
	return []service.Access{
		{Table: "rate-limits", Actions: []string{"UpdateItem"}, Reason: "Counts the caller against the route's limit, and sees whether the token was revoked."},
		{Table: "revoked-tokens", Actions: []string{"BatchGetItem"}, Reason: "Refuses a revoked token where the counters do not tell."},
	}
}
