package conformance

var geos = family{name: "geo"}
