package kafka

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultTemplate names the topic when the URI doesn't.
const DefaultTemplate = "{cluster}.{namespace}"

// maxTopic is Kafka's bound of a topic's name.
const maxTopic = 249

// topicPattern is what Kafka takes as a name.
var (
	topicPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	placeholder  = regexp.MustCompile(`\{[^{}]*\}`)
)

// validateTemplate says what is wrong with a template whatever its placeholders will be.
func validateTemplate(template string) error {
	for _, p := range placeholder.FindAllString(template, -1) {
		if p != "{cluster}" && p != "{namespace}" {
			return fmt.Errorf("kafka: topic %q: unknown placeholder %s: want {cluster} or {namespace}", template, p)
		}
	}
	return validateTopic(placeholder.ReplaceAllString(template, "x"))
}

// validateTopic says why Kafka wouldn't take a name.
func validateTopic(name string) error {
	switch {
	case name == "." || name == "..":
		return fmt.Errorf("kafka: topic %q: Kafka has no topic of that name", name)
	case len(name) > maxTopic:
		return fmt.Errorf("kafka: topic %.40q… of %d characters: Kafka takes %d", name, len(name), maxTopic)
	case !topicPattern.MatchString(name):
		return fmt.Errorf("kafka: topic %q: Kafka takes letters, digits, dots, _ and - in a name", name)
	}
	return nil
}

// Topic fills the template in.
func (c *Config) Topic(cluster, namespace string) (string, error) {
	name := strings.NewReplacer("{cluster}", cluster, "{namespace}", namespace).Replace(c.Template)
	if err := validateTopic(name); err != nil {
		return "", fmt.Errorf("%w (from %s with cluster %q and namespace %q)", err, c.Template, cluster, namespace)
	}
	return name, nil
}
