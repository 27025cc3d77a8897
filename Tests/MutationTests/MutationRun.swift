import Foundation
import Synchronization

/// Which seeds are run, and what became of them.
///
/// `PIVOTD_MUTATE` is the number of seeds, `PIVOTD_MUTATE_SEED` the first one (`deploy/test --mutate N --seed S`). `PIVOTD_MUTATE_AT`
/// names a file that shows the seeds in work, since a crash ends the process.
final class MutationRun: Sendable {
    private static let environment = ProcessInfo.processInfo.environment
    private static let asked = environment["PIVOTD_MUTATE"].flatMap { UInt64($0) }
    /// The first seed.
    static let first = environment["PIVOTD_MUTATE_SEED"].flatMap { UInt64($0) } ?? 1
    /// The number of seeds; without being asked for, as many as take seconds.
    static let count = asked ?? 3000
    /// Whether the run was asked for, and so reports what it did.
    static let isAskedFor = asked != nil

    private static let chunk: UInt64 = 250

    private let mark = environment["PIVOTD_MUTATE_AT"].map { open($0, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600) }
    private let next = Mutex<UInt64>(0)
    private let state = Mutex<(endings: [String: Int], faults: [(seed: UInt64, fault: String)])>(([:], []))

    deinit { if let mark { close(mark) } }

    /// Has pieces of the seeds worked on side by side. Each seed is to be noted with ``begin(_:_:)`` first.
    ///
    /// - Parameter oneIn: Of so many seeds one is used.
    func inPieces(oneIn share: UInt64 = 1, _ work: @escaping @Sendable (_ seeds: [UInt64], _ worker: Int) async throws -> Void)
        async throws
    {
        let pieces = (Self.count + Self.chunk * share - 1) / (Self.chunk * share)
        try await withThrowingTaskGroup { group in
            for worker in 0..<2 {
                group.addTask {
                    while let piece = self.take(pieces) {
                        let start = piece * Self.chunk * share
                        let end = min(Self.count, start + Self.chunk * share)
                        try await work(stride(from: start, to: end, by: Int(share)).map { Self.first + $0 }, worker)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func take(_ pieces: UInt64) -> UInt64? {
        next.withLock { next in
            guard next < pieces else { return nil }
            defer { next += 1 }
            return next
        }
    }

    /// Notes that a worker begins with a seed.
    func begin(_ seed: UInt64, _ worker: Int) {
        guard let mark else { return }
        let text = "seed \(seed)"
        let line = Array((text + String(repeating: " ", count: 31 - text.utf8.count) + "\n").utf8)
        _ = pwrite(mark, line, line.count, off_t(32 * worker))
    }

    /// Notes how a seed's input ended.
    func end(_ seed: UInt64, _ name: String, _ faults: [String]) {
        state.withLock { state in
            state.endings[name, default: 0] += 1
            state.faults += faults.map { (seed, $0) }
        }
    }

    /// Notes what was found after the end.
    func add(_ seed: UInt64, _ fault: String) { state.withLock { $0.faults.append((seed, fault)) } }

    /// How many inputs ended how.
    var endings: [String: Int] { state.withLock { $0.endings } }
    /// What is wrong, by seed.
    var faults: [(seed: UInt64, fault: String)] { state.withLock { $0.faults.sorted { $0.seed < $1.seed } } }
}
