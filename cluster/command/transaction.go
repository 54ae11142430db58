package command

// transactions are MULTI and its kin.
var transactions = []*Spec{}
