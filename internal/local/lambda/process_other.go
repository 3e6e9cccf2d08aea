//go:build unix && !linux

package lambda

import (
	"os/exec"
	"syscall"
)

// processAttributes puts the process into a group of its own, to be killed as a whole.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// starter starts processes.
type starter struct{}

func newStarter() *starter { return &starter{} }

func (*starter) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*starter) close() {}
