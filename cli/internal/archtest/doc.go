// Package archtest holds the shape of the source tree: that imports point downwards as DESIGN.md §10 lists packages, that
// each heavy dependency has one importer, that pure packages stay pure, and that every package says what it is for.
//
// It has no code but its test, which reads the sources and compiles nothing.
package archtest
