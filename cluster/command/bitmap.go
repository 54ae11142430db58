package command

// bitmaps are the commands on bits of strings.
var bitmaps = []*Spec{}
