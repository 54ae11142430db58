package command

// zsets are the commands on sorted sets.
var zsets = []*Spec{}
