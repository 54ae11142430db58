package conformance

var hashes = family{name: "hashes"}
