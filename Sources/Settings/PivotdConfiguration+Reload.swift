extension PivotdConfiguration {
    /// What another configuration changes.
    package struct Change: Sendable, Equatable {
        /// `key=value` of what can be taken while the worker runs.
        package var taken: [String] = []
        /// Keys whose new values wait for a restart.
        package var left: [String] = []
    }

    /// Takes the reloadable keys of a configuration that was read later.
    ///
    /// - Returns: what was taken, and what differs and waits for a restart.
    package mutating func adopt(_ new: PivotdConfiguration) -> Change {
        var change = Change()
        var given = given
        for key in Self.keys where values[key.name] != new.values[key.name] {
            guard key.reloads else {
                change.left.append(key.name)
                continue
            }
            change.taken.append("\(key.name)=\(new.values[key.name]?.reveal() ?? "")")
            given[key.name] = new.given[key.name]
        }
        self = PivotdConfiguration(given: given)
        return change
    }
}
