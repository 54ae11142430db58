package command

// scans are the scans of elements, and ZanKV's of keys.
var scans = []*Spec{}
