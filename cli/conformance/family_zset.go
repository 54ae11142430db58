package conformance

var zsets = family{name: "sorted sets"}
