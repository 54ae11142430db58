// Package kafkatest tests the Kafka sink against brokers that only package processes can run: with TLS and SASL, and on a disk that gets full; and the
// example consumer against what the sink wrote. There is nothing to import.
package kafkatest
