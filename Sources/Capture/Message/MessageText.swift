import Basics
import Foundation
package import JSON
import OsloMessaging

/// Formats captured messages for people, one block each, with secrets masked.
package struct MessageText: Sendable {
    /// Whether request contexts are shown in full, not folded to a line.
    private let showsContexts: Bool
    private var redactor = CaptureRedactor()

    /// - Parameter showsContexts: Whether request contexts are shown in full.
    package init(showsContexts: Bool) {
        self.showsContexts = showsContexts
    }

    /// The block for a message, without a trailing line feed.
    package mutating func block(_ line: CaptureLine, number: Int) -> String {
        let line = redactor.redacted(line)
        let time = line.capturedAt.map { Timestamp.text($0) } ?? "time unknown"
        var rows = ["#\(number)  \(time)  \(line.exchange.isEmpty ? "(default exchange)" : line.exchange) -> \(line.routingKey)"]
        if line.redelivered { rows[0] += "  redelivered" }
        switch CapturedMessage(line) {
        case .request(let request): rows += self.rows(request)
        case .reply(let reply): rows += self.rows(reply)
        case .notification(let type, let content):
            rows.append("    notification \(type)")
            rows += Self.indented(content["payload"] ?? .null, "payload")
        case .unreadable(let reason, _):
            rows.append("    not a request: \(reason)")
            rows.append("    body: \(Self.preview(line.body))")
        }
        return rows.map(\.escapingControls).joined(separator: "\n")
    }

    /// The message as a JSON value: the line with its envelope opened.
    package mutating func json(_ line: CaptureLine) -> JSONValue {
        let line = redactor.redacted(line)
        guard case .object(var json) = line.json else { return line.json }
        let content = (try? CapturedMessage.inner(line.body)).map { JSONValue.object($0) }
        let message = CapturedMessage(line)
        json["kind"] = .string(message.kind)
        if case .unreadable(let reason, _) = message { json["reason"] = .string(reason) }
        if case .object(var opened) = content {
            if let failure = opened["failure"]?.stringValue, let value = try? JSONValue(parsing: failure) {
                opened["failure"] = value
            }
            json["message"] = .object(opened)
            json["body"] = nil
        }
        return .object(json)
    }

    private func rows(_ request: RPCRequest) -> [String] {
        var head = "    \(request.kind) \(request.method) \(request.version ?? "without version")"
        if let namespace = request.namespace { head += " in namespace \(namespace)" }
        if let id = request.uniqueID { head += "  id \(id)" }
        var rows = [head]
        if let address = request.replyAddress {
            let wait = address.timeout.map { ", within \($0) s" } ?? ""
            rows.append("    answer \(address.messageID) to \(address.replyQueue)\(wait)")
        }
        if !request.context.isEmpty { rows += context(request.context) }
        return rows + Self.indented(.object(request.args), "args")
    }

    private func rows(_ reply: RPCReply) -> [String] {
        switch reply.content {
        case .heartbeat: return ["    heartbeat of \(reply.messageID)"]
        case .result(let value): return ["    reply to \(reply.messageID)"] + Self.indented(value, "result")
        case .failure(let failure):
            return ["    failure of \(reply.messageID): \(failure.module).\(failure.className)", "    \(failure.message)"]
        }
    }

    private func context(_ context: JSONObject) -> [String] {
        if showsContexts { return Self.indented(.object(context), "context") }
        let known = ["request_id", "project_id", "user_id"].compactMap { key in
            context[key]?.stringValue.map { "\(key) \($0)" }
        }
        let others = context.count - known.count
        return ["    context: \((known + (others > 0 ? ["\(others) more"] : [])).joined(separator: ", "))"]
    }

    private static func indented(_ value: JSONValue, _ title: String) -> [String] {
        var rows = value.serialized(indent: 2).split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
        if let first = rows.first { rows[0] = "    \(title): \(first.dropFirst(4))" }
        return rows
    }

    private static func preview(_ body: CaptureLine.Body) -> String {
        let limit = 400
        let bytes = body.bytes
        let text = String(decoding: bytes.prefix(limit), as: UTF8.self)
        return bytes.count > limit ? "\(text)... (\(bytes.count) bytes)" : text
    }
}
