package command

// hyperLogLogs are the commands that count distinct elements, nearly.
var hyperLogLogs = []*Spec{}
