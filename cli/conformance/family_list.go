package conformance

var lists = family{name: "lists"}
