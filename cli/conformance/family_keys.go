package conformance

var keys = family{name: "keys"}
