package command

// lists are the commands on lists.
var lists = []*Spec{}
