package conformance

var sets = family{name: "sets"}
