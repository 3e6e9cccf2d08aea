package catalog

// NotIdempotent are the operations by POST that take no Idempotency-Key, by id, each with the reason. Every other POST
// takes one; a test holds this list against the declaration in both directions. What records money, sends a message to
// the model or notifies somebody is never in it.
func NotIdempotent() map[string]string {
	const beforeSignIn = " Keys belong to a user, and there is none before signing in."
	return map[string]string{
		"register": "A second registration of one address is answered like the first and makes no second account." + beforeSignIn,
		"confirm":  "A code is good for one use, and an address that is confirmed stays so." + beforeSignIn,
		"resend":   "Sending one more code is what it is for; the caller limit bounds it." + beforeSignIn,
		"login":    "Each makes a session of its own, which can be ended; a recorded answer would keep its tokens." + beforeSignIn,
		"refresh":  "A refresh token is good for one use: its rotation decides about repetitions. A recorded answer would keep tokens.",
		"logout":   "A session that has ended stays so.",
	}
}
