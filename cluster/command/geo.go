package command

// geos are the commands on places, which are sorted sets.
var geos = []*Spec{}
