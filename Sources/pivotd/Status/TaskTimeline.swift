import Basics
import Foundation
import JSON

/// Tells what happened to a task: who asked, its phases with their times, what libvirt said, the outcome and its reply.
struct TaskTimeline {
    private struct Event {
        let at: Date
        let kind: String
        let text: String

        init?(_ value: JSONValue) {
            guard let at = value["at"]?.stringValue.flatMap(Timestamp.date), let kind = value["event"]?.stringValue,
                let text = value["text"]?.stringValue
            else { return nil }
            (self.at, self.kind, self.text) = (at, kind, text.escapingControls)
        }

        init(accepted at: Date) { (self.at, kind, text) = (at, "phase", "accepted") }
    }

    private let status: JSONValue
    private let state: SwapState
    private let events: [Event]
    private let columns: Int
    private let now: Date

    /// - Parameters:
    ///   - status: What `get_swap` with `history` answers.
    ///   - now: When it was asked: the end of the phase that goes on.
    init(_ status: JSONValue, columns: Int, now: Date) {
        self.status = status
        self.columns = columns
        self.now = now
        state = SwapState(status)
        let told = (status["history"]?.arrayValue ?? []).compactMap(Event.init)
        events = [state.acceptedAt.map(Event.init(accepted:))].compactMap(\.self) + told
    }

    var text: String {
        var parts = [block(facts), timeline]
        let details = block(details)
        if !details.isEmpty { parts.append(details) }
        return parts.joined(separator: "\n\n")
    }

    // MARK: Facts

    private var facts: [(name: String, text: String)] {
        [
            ("task", state.taskID), ("disk", "\(state.disk) of instance \(state.instance)"),
            ("volumes", "\(member("old_volume_id") ?? "?") to \(member("new_volume_id") ?? "?")"), ("asked by", caller),
            ("strategy", [member("strategy"), attempts].compactMap(\.self).joined(separator: ", ")), ("state", outcome),
            ("guest", place), ("reply", reply),
        ].filter { !$0.text.isEmpty }
    }

    private var caller: String {
        let caller = status["caller"]
        return [
            member("request_id").map { "request \($0)" }, caller?["user_id"]?.stringValue.map { "user \($0)" },
            caller?["project_id"]?.stringValue.map { "project \($0)" },
        ].compactMap(\.self).joined(separator: ", ").escapingControls
    }

    private var attempts: String? {
        let count = status["result"]?["attempts"]?.integerValue.map(Int.init) ?? events.count { $0.text == "starting" }
        return count == 0 ? nil : Quantity.count(count, "attempt")
    }

    private var outcome: String {
        if let reason = state.reasonCode, reason != state.name { return "\(state.name): \(reason)" }
        guard !state.isFinal else { return state.name }
        return ([state.name] + [state.waitsFor.map { "waits for \($0)" }, state.detail].compactMap(\.self)).joined(
            separator: ", ")
    }

    private var place: String {
        switch state.inUse {
        case nil: state.isFinal ? "unknown" : ""
        case "old"?: "runs on the old volume"
        case "new"?: "runs on the new volume"
        case "none"?: "runs on neither volume: it is gone, or was not found"
        default: "it is not known which volume it runs on: check before deleting either"
        }
    }

    private var reply: String {
        let queue = status["caller"]?["reply_queue"]?.stringValue.map { " to \($0.escapingControls)" } ?? ""
        return switch member("reply") {
        case "none"?: "none: a cast"
        case "owed"?: "owed\(queue)"
        case "given_up"?: "given up\(queue): the queue was missing, or the broker refused it"
        case let fate?: fate + queue
        case nil: ""
        }
    }

    // MARK: Timeline

    /// A line for each event: the time of day, how long a phase lasted, what it was.
    private var timeline: String {
        var lines: [String] = []
        var day = ""
        for (index, event) in events.enumerated() {
            let date = String(Timestamp.text(event.at, .milliseconds).prefix(10))
            if date != day { lines.append("\(date) UTC") }
            day = date
            let head = "  \(Quantity.timeOfDay(event.at, hasMilliseconds: true))  "
            switch event.kind {
            case "phase":
                let length = duration(ofPhaseAt: index).map(Self.length) ?? ""
                lines.append("\(head)\(length.padding(toLength: 9, withPad: " ", startingAt: 0)) \(event.text)")
            case "reply":
                lines.append("\(head)          reply \(event.text.replacing("_", with: " "))")
            default:
                let indent = head.count + 10
                let text = Wrapping.lines(event.text, width: columns - indent)
                lines.append(head + "          " + text.joined(separator: "\n" + String(repeating: " ", count: indent)))
            }
        }
        return lines.joined(separator: "\n")
    }

    /// Until the next phase, or until now; nil for a final one.
    private func duration(ofPhaseAt index: Int) -> Double? {
        if let next = events[(index + 1)...].first(where: { $0.kind == "phase" }) {
            return next.at.timeIntervalSince(events[index].at)
        }
        return state.isFinal ? nil : now.timeIntervalSince(events[index].at)
    }

    private static func length(_ seconds: Double) -> String {
        seconds < 1 ? "\(Int((max(0, seconds) * 1000).rounded())) ms" : Quantity.duration(seconds)
    }

    // MARK: Details

    private var details: [(name: String, text: String)] {
        var details: [(String, String)] = []
        if let fraction = state.fraction, fraction > 0 { details.append(("copied", ProgressBar.text(state.disk, state))) }
        if let limit = state.limit, !state.isFinal { details.append(("limit", "\(Quantity.bytes(limit))/s")) }
        if let failure = state.failure { details.append(("failure", failure)) }
        for left in status["failure"]?["kwargs"]?["left_behind"]?.arrayValue ?? [] {
            details.append(("left", left.stringValue?.escapingControls ?? ""))
        }
        for warning in status["result"]?["warnings"]?.arrayValue ?? [] {
            details.append(("warning", warning.stringValue?.escapingControls ?? ""))
        }
        return details
    }

    private func block(_ rows: [(name: String, text: String)]) -> String {
        let width = 10
        return rows.map { row in
            let lines = Wrapping.lines(row.text, width: columns - width)
            let indent = String(repeating: " ", count: width)
            return row.name.padding(toLength: width, withPad: " ", startingAt: 0) + lines.joined(separator: "\n" + indent)
        }.joined(separator: "\n")
    }

    private func member(_ key: String) -> String? { status[key]?.stringValue?.escapingControls }
}
