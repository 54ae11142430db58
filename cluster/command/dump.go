package command

// dumps are the commands that move values from and to Redis, serialised.
var dumps = []*Spec{}
