package e2e

const badDiskArg = "behind-bad-disk"

func behindBadDisk([]string) error { return nil }
