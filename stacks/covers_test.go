package stacks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/service"
)

// What the declaration needs and the configuration or the profile lacks is said at once, with what mends it.
func TestCoversNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	b := service.Backend{Services: []service.Service{{Key: "s", Functions: []service.Function{
		{Key: "slow-api", Size: "slow", Routes: []service.Route{{Limit: "strange"}}},
		{Key: "worker", Size: service.SizeAPI, Queues: []string{"jobs"}, Emails: "Says hello."},
		{Key: "reader", Size: service.SizeSchedule, Streams: []service.Stream{{Table: "t"}}, Pushes: "Says so."},
		{Key: "huge", Size: "huge"},
	}}}}
	s := Settings{Environment: "dev", Profile: profiles()["dev"]}
	s.Profile.Functions["slow"] = FunctionProfile{MemoryMB: 128, Timeout: gatewayPatience + time.Second}
	err := s.covers(b)
	for _, want := range []string{
		"function size huge has no memory and timeout", "caller limit strange has no numbers",
		"function size slow has 30s, but slow-api answers API Gateway, which gives up after 29s",
		"function size api has no batch, but worker gets batches", "function size schedule has no batch, but reader gets batches",
		"expenzez:emailFrom is missing", "because worker sends, with: pulumi config set --stack dev expenzez:emailFrom",
		"expenzez:pushApplications is missing", "because reader sends, with: pulumi config set --stack dev --path 'expenzez:pushApplications[0]'",
	} {
		require.ErrorContains(t, err, want)
	}

	s.EmailFrom, s.PushApplications = "no-reply@example.com", []string{"APNS/app"}
	s.Profile.Limits["strange"], s.Profile.Functions["huge"] = CallerLimit{1, time.Second}, FunctionProfile{}
	b.Services[0].Functions[0].Size, b.Services[0].Functions[1].Size, b.Services[0].Functions[2].Size = service.SizeAPI, service.SizeQueue, service.SizeStream
	require.NoError(t, s.covers(b))
}
