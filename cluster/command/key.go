package command

// keyOperations are the commands that move keys or tell about them.
var keyOperations = []*Spec{}
