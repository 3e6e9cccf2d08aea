package lambda

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// processAttributes puts the process into a group of its own, to be killed as a whole, and has the kernel kill it when
// this program dies in whatever way.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// starter starts processes from one OS thread that lives as long as the runtime: the kernel sends Pdeathsig when the
// thread that started a process ends, not the program (prctl(2), PR_SET_PDEATHSIG).
type starter struct {
	work chan func()
	once sync.Once
}

func newStarter() *starter {
	s := &starter{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.work <- func() { result <- cmd.Start() }
	return <-result
}

// close lets the thread go; no process may be left.
func (s *starter) close() { s.once.Do(func() { close(s.work) }) }
