//go:build !linux

package transport

// freeBytes can't be told here: a full disk shows when it is written to.
func freeBytes(string) (free uint64, ok bool) { return 0, false }
