package command

// hashes are the commands on hashes.
var hashes = []*Spec{}
