package command

// UnblockHow says how a blocking command that waits is ended from outside.
type UnblockHow uint8

const (
	// UnblockGone: the client is gone. The command takes no effect, nor does what the client sent behind it.
	UnblockGone UnblockHow = 1
	// UnblockTimeout: as if its time had passed (CLIENT UNBLOCK).
	UnblockTimeout UnblockHow = 2
	// UnblockError: with ErrUnblocked (CLIENT UNBLOCK ERROR).
	UnblockError UnblockHow = 3
)

const (
	// ErrUnblocked is what a command gets that CLIENT UNBLOCK ended with ERROR.
	ErrUnblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
	// ErrUnblockedByForce is what a waiting command gets when the leader that kept it waiting leads no more: it took no effect.
	ErrUnblockedByForce = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
)
