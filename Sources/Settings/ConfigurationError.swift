/// Everything that is wrong with the configuration, found in one go.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// One line each: where the setting was given, what was given, what is allowed.
    package let problems: [String]

    package init(problems: [String]) { self.problems = problems }

    package var description: String {
        problems.count == 1 ? problems[0] : problems.map { "- \($0)" }.joined(separator: "\n")
    }
}
