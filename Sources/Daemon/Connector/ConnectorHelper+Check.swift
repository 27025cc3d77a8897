import Foundation
import JSON

extension ConnectorHelper {
    /// Marks a helper that supports the action `check`; it is never sent to any other.
    private static let checkMark = "pivotd-connector: check"
    /// The mark must be within this many bytes of the file's start.
    private static let markLimit = 4096

    /// Whether the helper declares that it supports ``check()``.
    var knowsCheck: Bool {
        guard let file = FileHandle(forReadingAtPath: executable) else { return false }
        defer { try? file.close() }
        guard let head = try? file.read(upToCount: Self.markLimit) else { return false }
        return head.range(of: Data(Self.checkMark.utf8)) != nil
    }

    /// Asks the helper whether it could work, without attaching anything.
    ///
    /// - Returns: Why it could not, in one line; nil if it could.
    func check() async -> String? {
        do {
            return switch try await ask(["action": "check"]) {
            case .late: "it did not finish within \(timeout.components.seconds) s and was killed"
            case .ended(true, _, _, _): nil
            case .ended(false, let status, _, let errors):
                errors.isEmpty ? "\(status), with nothing on standard error" : ConnectorText.brief(errors)
            }
        } catch {
            return ConnectorText.brief("\(error)")
        }
    }
}
