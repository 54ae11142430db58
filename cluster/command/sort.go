package command

// sorts are SORT and its kin.
var sorts = []*Spec{}
