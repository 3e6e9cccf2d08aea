package local

import (
	"context"
	"fmt"
	"net"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/expenzez/aws-backend/internal/scenario"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/token"
)

// Register makes a confirmed user through the API, coming from an address; nil: any.
func (c *Cloud) Register(ctx context.Context, from net.IP, u User) error {
	return scenario.Register(ctx, scenario.NewClient(c.URL, from), scenario.Person{Email: u.Email, Password: u.Password}, c.Code)
}

// Code is the newest code that was mailed to an address.
func (c *Cloud) Code(_ context.Context, email string) (string, error) {
	mails := c.Mails()
	for i := len(mails) - 1; i >= 0; i-- {
		if mails[i].To == email {
			return mails[i].Code, nil
		}
	}
	return "", fmt.Errorf("nothing was mailed to %s", email)
}

// Target is the cloud as the scenario drives it: each client comes from a loopback address of its own, since the
// limits are the real ones.
func (c *Cloud) Target(p *Project) scenario.Target {
	return scenario.Target{
		URL: c.URL, Origin: p.Settings.Origins[0], Code: c.Code,
		Expired: func(ctx context.Context) (string, error) { return c.expiredToken(ctx, p) },
		From:    func(client int) net.IP { return net.ParseIP(fmt.Sprintf("127.0.1.%d", client)) },
	}
}

// expiredToken signs a token with the environment's key as it would have been an hour ago.
func (c *Cloud) expiredToken(ctx context.Context, p *Project) (string, error) {
	source := func(ctx context.Context) (secret.Value, error) {
		id := p.Settings.SecretPrefix() + "jwt"
		out, err := secretsmanager.NewFromConfig(c.adminConfig(p)).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			return secret.Value{}, err
		}
		return secret.NewValue(sdk.ToString(out.SecretString)), nil
	}
	anHourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
	text, _, err := token.NewSigner(p.Settings.Issuer(), source, anHourAgo).Sign(ctx, "00000000-0000-4000-8000-000000000000", "AAAAAAAAAAAAAAAAAAAAAA")
	return text, err
}
