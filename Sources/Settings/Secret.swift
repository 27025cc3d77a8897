/// A string that must not be shown: printing, dumping or interpolating it yields `***`.
package struct Secret: Sendable, Equatable {
    private let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// The string itself, for the one place that needs it.
    package func reveal() -> String { text }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
