package conformance

var bits = family{name: "bitmaps"}
