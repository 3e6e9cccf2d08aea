//go:build unix

package lambda

import (
	"os/exec"
	"syscall"
)

// killGroup kills the process and all it started; one that is gone is no error.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}
