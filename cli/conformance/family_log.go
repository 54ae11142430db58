package conformance

var logs = family{name: "hyperloglogs"}
