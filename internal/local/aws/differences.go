package aws

// Difference is one thing that moto, as released in 5.2.1, answers otherwise than AWS, and what the local cloud does about it.
type Difference struct {
	Service   string // as in Call
	Operation string
	Moto      string // what moto does
	AWS       string // what AWS does, by the named page of its documentation
	How       string // what the front does; "nothing: …" where the difference remains
}

// Differences is the table of all that is known, each row proven by the test of its name.
func Differences() []Difference {
	rows := dynamodbDifferences()
	rows = append(rows, cognitoDifferences()...)
	return append(rows, otherDifferences()...)
}

func dynamodbDifferences() []Difference {
	const s = "dynamodb"
	return []Difference{
		{s, "TransactWriteItems rollback", "puts the tables back as they were when it began, with them other callers' acknowledged writes", "is isolated from every other write (DynamoDB transactions: how it works)", "one write at a time; reads wait for it"},
		{s, "TransactWriteItems token", "applies a repeated ClientRequestToken again", "applies it once in ten minutes, and refuses other parameters (TransactWriteItems)", "remembers tokens of successful transactions for ten minutes"},
		{s, "TransactGetItems count", "takes at most 25 items", "takes at most 100 items (TransactGetItems)", "asks in parts while no write runs"},
		{s, "BatchWriteItem count", "takes any number of requests", "takes at most 25 (BatchWriteItem)", "counts them"},
		{s, "BatchWriteItem duplicates", "takes two requests for one item", "refuses them (BatchWriteItem)", "compares the keys"},
		{s, "UpdateItem too large", "leaves an item with nothing but its key when a new item would be too large", "writes nothing", "removes what was left"},
		{s, "Item size", "refuses items above 405,000 bytes", "refuses items above 409,600 bytes (quotas, Items)", "nothing: 1.1 % stricter"},
		{s, "ConsumedCapacity", "makes up figures, also unasked", "computes them from sizes (Provisioned capacity)", "removes them"},
		{s, "Time to live", "keeps expired items", "deletes them within days (Using time to live)", "deletes them at each Sweep"},
		{s, "Stream label", "has microseconds", "has milliseconds (DynamoDB Streams API reference, DescribeStream)", "cuts it"},
		{s, "GetRecords", "has two INSERT records for an update that creates an item, and a MODIFY for one that changes nothing", "has one, and none (Change data capture for DynamoDB Streams)", "leaves out the others"},
	}
}

func cognitoDifferences() []Difference {
	const s = "cognito-idp"
	return []Difference{
		{s, "SignUp", "sends no code", "mails one that lives a day (Quotas in Amazon Cognito)", "makes and shows it"},
		{s, "ConfirmSignUp", "takes any code, and does not verify the address", "takes the code that was mailed, a few attempts (ConfirmSignUp)", "compares, counts, verifies the address"},
		{s, "ResendConfirmationCode", "answers 500", "mails another code (ResendConfirmationCode)", "answers itself"},
		{s, "ForgotPassword", "sends no code, and answers for users who cannot have one", "mails one that lives an hour, to verified addresses (Recovering user accounts)", "answers itself"},
		{s, "ConfirmForgotPassword", "takes any code and any password", "takes the code that was mailed, a few attempts, and a password that conforms (ConfirmForgotPassword)", "compares, counts, checks"},
		{s, "AdminResetUserPassword", "sends no code, and still lets the user in", "mails one; sign-in is refused until it was used (AdminResetUserPassword)", "mails it and refuses"},
		{s, "SecretHash", "is not checked at sign-up, by password, or for codes", "is demanded of every client that has a secret (Computing secret hash values)", "checks it"},
		{s, "PreventUserExistenceErrors", "is ignored", "hides who exists (Managing user existence error responses)", "hides it; a disabled user is hidden even from the right password"},
		{s, "ExplicitAuthFlows", "are ignored", "are enforced (UpdateUserPoolClient)", "enforces them"},
		{s, "USER_SRP_AUTH", "takes any proof", "verifies it (SRP password authentication)", "refuses it, and CUSTOM_AUTH and USER_AUTH"},
		{s, "Lockout", "has none", "locks after five failures for a time that doubles (Lockout behavior for failed sign-in attempts)", "counts and locks"},
		{s, "AdminInitiateAuth unconfirmed", "lets unconfirmed users in, and puts the user's name into refusals", "refuses with UserNotConfirmedException (AdminInitiateAuth)", "looks at the status"},
		{s, "Session", "lets one user's session answer for another", "belongs to its user for three minutes (AuthSessionValidity)", "binds and ends it"},
		{s, "TOTP", "has one secret for everybody, and takes any code", "has one each, and takes a code once (TOTP software token MFA)", "keeps the secrets and checks"},
		{s, "Password length", "takes at most 98 characters", "takes at most 256 (Adding user pool password requirements)", "gives moto a hash of longer ones"},
		{s, "Username case", "tells cases apart", "does so only where the pool says so (User pool case sensitivity)", "writes names in lower case"},
	}
}

func otherDifferences() []Difference {
	return []Difference{
		{"kms", "Key state", "uses disabled keys and those about to be deleted, and enables the latter", "refuses both (Key states of AWS KMS keys)", "looks at the state first"},
		{"kms", "Encryption context", `is strung together: {"a":"b"} opens what {"ab":""} sealed`, "binds keys and values apart (Encryption context)", "gives moto its hash"},
		{"kms", "Decrypt with another key", "answers AccessDeniedException", "answers IncorrectKeyException (Decrypt)", "compares the keys"},
		{"secretsmanager", "GetSecretValue", "keeps returning the old version when AWSCURRENT has moved, and confuses a missing version with a missing secret", "returns the version labeled AWSCURRENT (GetSecretValue)", "asks for the label"},
		{"secretsmanager", "BatchGetSecretValue", "fails whole when one secret has no value", "lists it under Errors (BatchGetSecretValue)", "reads each by itself"},
		{"secretsmanager", "Deleted secret", "takes new values", "refuses them (DeleteSecret)", "looks at the date first"},
		{"sts", "GetCallerIdentity", "names a user of its own", "names the caller (GetCallerIdentity)", "answers itself"},
		{"sts", "AssumeRole", "hands out credentials that it alone knows", "hands out credentials that work (AssumeRole)", "mints them itself; trust policies are not asked"},
	}
}
