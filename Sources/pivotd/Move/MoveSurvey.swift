import Basics
import BulkMove

/// What the workers know of the lines, and whether they would accept the others, before anything is sent.
struct MoveSurvey: Sendable {
    let bus: MoveBus
    /// How long a host may be silent.
    let patience: Duration
    /// Whether lines whose last attempt has failed are to be tried again.
    let retriesFailed: Bool

    private static let hostsAtATime = 16
    private static let linesOfAHost = 4
    private static let longestPatience = Duration.seconds(60)

    /// - Returns: a finding for each line.
    /// - Throws: `CancellationError`
    func findings(for lines: [MoveLine]) async throws -> [MoveSchedule.Finding] {
        let hosts = Dictionary(grouping: lines.indices) { lines[$0].host }.values.sorted { ($0.first ?? 0) < ($1.first ?? 0) }
        let found = try await concurrentMap(hosts, limit: Self.hostsAtATime) { indices in
            zip(indices, try await findings(ofOneHost: indices.map { lines[$0] }))
        }
        return found.joined().sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// The first line shows whether the host answers at all.
    private func findings(ofOneHost lines: [MoveLine]) async throws -> [MoveSchedule.Finding] {
        guard let line = lines.first else { return [] }
        let first = await finding(line)
        try Task.checkCancellation()
        if case .unreachable = first { return lines.map { _ in first } }
        return [first] + (try await concurrentMap(Array(lines.dropFirst()), limit: Self.linesOfAHost) { await finding($0) })
    }

    private func finding(_ line: MoveLine) async -> MoveSchedule.Finding {
        var known: (attempt: Int, status: MoveStatus)?
        while true {
            let attempt = (known?.attempt ?? 0) + 1
            switch await answer(line, attempt) {
            case .silence(let reason): return .unreachable(MoveRefusal(message: reason))
            case .unknown:
                if let known, !retriesFailed { return .known(attempt: known.attempt, known.status) }
                return await bus.check(line).map { .refused($0) } ?? .fresh(attempt: attempt)
            case .status(let json):
                guard line.isSwap(in: json) else { return .refused(.otherSwap) }
                let status = MoveStatus(json)
                guard status.isFinal, !status.isSuccess else { return .known(attempt: attempt, status) }
                known = (attempt, status)
            }
        }
    }

    /// Asks again while the host is silent: it may be starting.
    private func answer(_ line: MoveLine, _ attempt: Int) async -> MoveBus.Answer {
        let deadline = ContinuousClock.now + min(patience, Self.longestPatience)
        while true {
            let answer = await bus.status(of: line, attempt: attempt)
            guard case .silence = answer, .now < deadline, (try? await Task.sleep(for: .seconds(1))) != nil else { return answer }
        }
    }
}
