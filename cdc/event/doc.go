// Package event defines the change events of a partition: their Go form, the logged form, the form that people read and the
// chain that makes a stream of them checkable.
package event
