extension JSONValue {
    /// What stands in the place of a secret.
    package static let redactionMark = "***"

    /// The value with every password, key and token replaced by `"***"`; see ``Redaction``.
    package func redacted() -> JSONValue { redactedIfSecret() ?? self }

    /// As ``redacted()``, nil when nothing is to be masked.
    package func redactedIfSecret() -> JSONValue? {
        var redaction = Redaction()
        return redaction.redacted(self)
    }
}
