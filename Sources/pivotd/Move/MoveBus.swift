import BulkMove
import JSON
import OsloMessaging

/// The workers of a move's lines.
protocol MoveWorkers: Sendable {
    func status(of line: MoveLine, attempt: Int) async -> MoveBus.Answer

    /// Sends a swap; a worker that knows its task already starts nothing.
    ///
    /// - Returns: why it was not sent; nil if the broker has it.
    func send(_ line: MoveLine, attempt: Int) async -> String?
}

/// What a move sends to the workers: all over one connection, whatever the number of hosts and swaps.
struct MoveBus: MoveWorkers {
    /// What a worker says of a task.
    enum Answer: Sendable {
        case status(JSONValue)
        /// It knows no such task.
        case unknown
        /// There is no answer, for this reason.
        case silence(String)
    }

    let session: BusSession

    /// A swap that its worker has not taken from its queue within this time is sent again, so that it never starts long after the move
    /// has ended.
    private static let expiration = Duration.seconds(60)
    private static let statusTimeout = Duration.seconds(10)
    /// Longer than a worker takes for a check, whatever hangs.
    private static let checkTimeout = Duration.seconds(60)

    func status(of line: MoveLine, attempt: Int) async -> Answer {
        do {
            let task = JSONValue.string(line.taskID(attempt: attempt))
            return .status(try await session.at(line.host).call("get_swap", ["task_id": task], timeout: Self.statusTimeout))
        } catch let failure as RemoteFailure {
            return failure.className == "InvalidInput" ? .unknown : .silence(failure.description)
        } catch {
            return .silence("\(error)")
        }
    }

    /// - Returns: why the line would be refused; nil if it is acceptable.
    func check(_ line: MoveLine) async -> MoveRefusal? {
        do {
            let check = try await session.at(line.host).call("check_swap", line.checkArguments, timeout: Self.checkTimeout)
            return MoveRefusal(check: check)
        } catch {
            return MoveRefusal(message: "\(error)")
        }
    }

    func send(_ line: MoveLine, attempt: Int) async -> String? {
        do {
            try await session.at(line.host).cast("swap_volume", line.arguments(attempt: attempt), timeout: Self.expiration)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
