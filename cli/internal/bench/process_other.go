//go:build !linux

package bench

import "syscall"

// childAttributes give a child a process group of its own, so that Ctrl-C reaches this program only, which then ends its
// children in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
