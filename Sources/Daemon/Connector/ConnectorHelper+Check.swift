import Foundation
import JSON

extension ConnectorHelper {
    /// By this a helper says that it knows the action `check`; no other is ever sent one.
    private static let checkMark = "pivotd-connector: check"
    /// Where the mark must be: these first bytes of the file.
    private static let markLimit = 4096

    /// Whether the helper says of itself that it can be asked for a ``check()``.
    var knowsCheck: Bool {
        guard let file = FileHandle(forReadingAtPath: executable) else { return false }
        defer { try? file.close() }
        guard let head = try? file.read(upToCount: Self.markLimit) else { return false }
        return head.range(of: Data(Self.checkMark.utf8)) != nil
    }

    /// Asks the helper whether it could work, which attaches nothing.
    ///
    /// - Returns: why it could not, in one line; nil when it could.
    func check() async -> String? {
        do {
            return switch try await ask(["action": "check"]) {
            case .late: "it has not ended within \(timeout.components.seconds) s and was killed"
            case .ended(true, _, _, _): nil
            case .ended(false, let status, _, let errors):
                errors.isEmpty ? "\(status), without a word on standard error" : ConnectorText.brief(errors)
            }
        } catch {
            return ConnectorText.brief("\(error)")
        }
    }
}
