package command

// sets are the commands on sets.
var sets = []*Spec{}
