import ArgumentParser
import Basics
import Foundation
import JSON

/// A task as an operator names it: by its id, or the beginning of it.
struct TaskName: ExpressibleByArgument, Sendable {
    static let help: ArgumentHelp = "A task id, as printed by swap --cast and status, or the beginning of one."

    /// Tasks that an ambiguous name's error lists.
    private static let listed = 5

    let text: String

    /// - Parameter argument: nil for an empty one.
    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        text = argument
    }

    /// UUIDs and hashes are taken as they are.
    private var isWhole: Bool {
        UUID(uuidString: text) != nil || (text.utf8.count == 32 && text.allSatisfy(\.isHexDigit))
    }

    /// Asks the worker which task is meant.
    ///
    /// - Throws: ``CommandFailure`` if no task has such an id, or several have.
    func resolved(_ session: BusSession, _ reply: ReplyOptions) async throws -> String {
        if isWhole { return text }
        let limit = Int64(Self.listed + 1)
        let answer = try await reply.call("list_swaps", ["task_id_prefix": .string(text), "limit": .integer(limit)], session)
        return try choice(among: (answer["swaps"]?.arrayValue ?? []).compactMap { $0["task_id"]?.stringValue })
    }

    /// The one task that is meant, of those whose ids begin like this name.
    ///
    /// - Throws: ``CommandFailure`` if there is none, or several and none of exactly this id.
    func choice(among ids: [String]) throws(CommandFailure) -> String {
        let ids = ids.filter { $0.hasPrefix(text) }
        if ids.contains(text) { return text }
        guard let first = ids.first else { throw CommandFailure(.failure, "no task's id begins with \(text.escapingControls)") }
        guard ids.count == 1 else {
            let named = ids.prefix(Self.listed).map { "\n  \($0.escapingControls)" }.joined()
            let more = ids.count > Self.listed ? "\n  and others" : ""
            throw CommandFailure(.failure, "\(text.escapingControls) is ambiguous, give more of the id:\(named)\(more)")
        }
        return first
    }
}

/// The shortest beginnings that tell ids apart.
struct ShortIDs {
    /// What people are used to from commits.
    private static let shortest = 8

    private let length: Int

    /// - Parameter isFull: Whether ids are not shortened.
    init(_ ids: [String], isFull: Bool = false) {
        let distinct = Set(ids)
        let longest = distinct.map(\.count).max() ?? 0
        length =
            isFull
            ? longest
            : (Self.shortest...max(Self.shortest, longest)).first { length in
                Set(distinct.map { $0.prefix(length) }).count == distinct.count
            } ?? longest
    }

    func short(_ id: String) -> String { String(id.prefix(length)) }
}
