import JSON
import VolumeSwap

/// Shows a swap's progress while its call waits: a bar on a terminal, elsewhere a line for every tenth.
struct SwapProgressReport: Sendable {
    let disk: String
    let isShown: Bool

    /// Waits for the work, and meanwhile polls the worker for the swap's state.
    func following(
        _ session: BusSession, _ work: @escaping @Sendable () async throws -> JSONValue
    ) async throws -> JSONValue {
        guard isShown else { return try await work() }
        return try await withThrowingTaskGroup(of: JSONValue?.self) { group in
            defer { group.cancelAll() }
            var display = SwapProgressDisplay(disk: disk, isTerminal: StandardStream.error.isTerminal)
            let (states, continuation) = AsyncStream.makeStream(of: SwapState.self, bufferingPolicy: .bufferingNewest(1))
            group.addTask {
                defer { continuation.finish() }
                return try await work()
            }
            group.addTask {
                await Self.ask(session, every: StandardStream.error.isTerminal ? .milliseconds(500) : .seconds(2), continuation)
                return nil
            }
            for await state in states { display.show(state) }
            while true {
                do {
                    guard let finished = try await group.next() else { throw CancellationError() }
                    guard let result = finished else { continue }
                    display.finish(result)
                    return result
                } catch {
                    display.clear()
                    throw error
                }
            }
        }
    }

    /// Ignores failures: the worker may not know the task yet, or be unavailable for a moment.
    private static func ask(
        _ session: BusSession, every interval: Duration, _ states: AsyncStream<SwapState>.Continuation
    ) async {
        while (try? await Task.sleep(for: interval)) != nil {
            guard let sent = session.sent, sent.isConfirmed else { continue }
            let answer = try? await session.call("get_swap", ["task_id": .string(sent.task.text)], timeout: .seconds(5))
            if let answer { states.yield(SwapState(answer)) }
        }
    }
}
