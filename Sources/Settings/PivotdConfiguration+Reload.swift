extension PivotdConfiguration {
    /// How a new configuration differs.
    package struct Change: Sendable, Equatable {
        /// `key=value` of the settings that were applied.
        package var taken: [String] = []
        /// Keys whose new values need a restart.
        package var left: [String] = []
    }

    /// Applies the reloadable keys of a newly read configuration.
    ///
    /// - Returns: What was applied, and what differs and needs a restart.
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
