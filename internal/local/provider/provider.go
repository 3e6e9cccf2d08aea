// Package provider stands in for the AWS resource provider (package aws, version 6.83.2) where no account exists. It
// is a gRPC server to which the Pulumi engine is attached by PULUMI_DEBUG_PROVIDERS=aws:PORT. It checks inputs as AWS
// and the real provider would, knows which changes replace, gives AWS-shaped ids and names, makes tables, keys, secrets
// and user pools in an emulator, and records the rest. A type that it does not know is an error, never a success.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// Version is the version of package aws that this provider stands in for.
const Version = "6.83.2"

// maxMessage is the engine's own limit on a message; an inline archive can be large.
const maxMessage = 400 << 20

// Server is a running provider. It serves until Close, or until the context of Start ends.
type Server struct {
	listener net.Listener
	grpc     *grpc.Server
	world    *World
	done     chan error
	close    sync.Once
	err      error
}

// Start listens on an unused port of 127.0.0.1. All problems of the configuration are reported at once.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	c, err := newCloud(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("local provider: listen: %w", err)
	}
	s := &Server{
		listener: listener,
		grpc:     grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.StatsHandler(sessions{})),
		world:    c.world,
		done:     make(chan error, 1),
	}
	pulumirpc.RegisterResourceProviderServer(s.grpc, &server{cloud: c, types: resourceTypes()})
	go func() { s.done <- s.grpc.Serve(listener) }()
	context.AfterFunc(ctx, s.grpc.Stop)
	return s, nil
}

// Port is the port on 127.0.0.1, for PULUMI_DEBUG_PROVIDERS=aws:PORT.
func (s *Server) Port() int {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return addr.Port
}

// Resources lists what is deployed now, sorted by type and id.
func (s *Server) Resources() []Resource { return s.world.Resources() }

// Close stops the server at once; it may be called more than once. Close it after the engine has ended.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.grpc.Stop()
		if err := <-s.done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.err = fmt.Errorf("local provider: %w", err)
		}
	})
	return s.err
}

// sessions gives each connection a session of its own. The engine opens one connection per provider instance of the
// program and requests do not say which instance they are for.
type sessions struct{}

type sessionKey struct{}

var _ stats.Handler = sessions{}

// TagConn attaches a new session to a connection.
func (sessions) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, sessionKey{}, &session{})
}

// TagRPC leaves the context as it is: a call has its connection's session.
func (sessions) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC ignores statistics.
func (sessions) HandleRPC(context.Context, stats.RPCStats) {}

// HandleConn ignores statistics.
func (sessions) HandleConn(context.Context, stats.ConnStats) {}
