import Basics
import Dispatch
import Synchronization

/// Runs probes that may never finish, for example on a dead mount, each on a thread of its own.
///
/// A probe that does not finish in time keeps its thread until it does. The number of such threads is bounded, and neither the
/// path nor a directory with several of them, as on a dead mount, is probed again meanwhile. Devices hang one by one, though, many of a
/// dead array at a time, and so may not take all of those threads.
final class ProbePool: Sendable {
    private enum Progress {
        case waiting, running, overdue, done
    }

    private final class Probe: Sendable {
        let path: String
        let patience: Duration
        /// Probes, then resumes the caller unless it has given up.
        let work: @Sendable (Probe) -> Void
        let giveUp: @Sendable () -> Void
        let progress = Mutex(Progress.waiting)

        init(
            path: String, patience: Duration, work: @escaping @Sendable (Probe) -> Void, giveUp: @escaping @Sendable () -> Void
        ) {
            self.path = path
            self.patience = patience
            self.work = work
            self.giveUp = giveUp
        }

        var isDevice: Bool { path.hasPrefix("/dev/") }
        /// What hangs together: the path itself if it is a device's, or has no directory.
        var directory: String { isDevice ? path : String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) }
    }

    private struct State {
        /// Threads whose result is awaited.
        var running = 0
        var waiting: [Probe] = []
        var hungPaths: [String: Int] = [:]
        var hungDirectories: [String: Int] = [:]
        var hung = 0
        var hungDevices = 0

        func isHopeless(_ probe: Probe, limit: Int, deviceLimit: Int) -> Bool {
            hung >= limit || probe.isDevice && hungDevices >= deviceLimit || hungPaths[probe.path] != nil
                || hungDirectories[probe.directory, default: 0] > 1
        }
    }

    private let state = Mutex(State())
    private let threads: Int
    private let hungThreads: Int
    private let hungDevices: Int
    private let queue = DispatchQueue(label: "pivotd.probes", attributes: .concurrent)

    /// - Parameters:
    ///   - threads: Maximum concurrent probes.
    ///   - hungThreads: Maximum additional probes that hang.
    ///   - hungDevices: How many of those may be probes of paths below /dev.
    init(threads: Int = 8, hungThreads: Int = 32, hungDevices: Int = 28) {
        self.threads = threads
        self.hungThreads = hungThreads
        self.hungDevices = hungDevices
    }

    /// How many probes hang.
    var hung: Int { state.withLock { $0.hung } }

    /// - Parameters:
    ///   - patience: From when the probe starts; it may have to wait for others first.
    ///   - work: Blocks its thread.
    /// - Returns: nil if there was no result in time, or none can be expected, or if the task is cancelled: then nothing is known of
    ///   the path. A probe that has begun goes on all the same.
    func ask<Value: Sendable>(
        _ path: String, patience: Duration, _ work: @escaping @Sendable () -> Value
    ) async -> Value? {
        if Task.isCancelled { return nil }
        let answer = Waiter<Value?>()
        let probe = Probe(path: path, patience: patience) { [self] probe in
            let value = work()
            if end(probe) { answer.resume(value) }
        } giveUp: {
            answer.resume(nil)
        }
        state.withLock { $0.waiting.append(probe) }
        startWaiting()
        return await answer.value(ifCancelled: nil)
    }

    private func startWaiting() {
        var toStart: [Probe] = []
        var toGiveUp: [Probe] = []
        state.withLock { state in
            var rest: [Probe] = []
            for probe in state.waiting {
                if state.isHopeless(probe, limit: hungThreads, deviceLimit: hungDevices) {
                    toGiveUp.append(probe)
                } else if state.running < threads {
                    state.running += 1
                    toStart.append(probe)
                } else {
                    rest.append(probe)
                }
            }
            state.waiting = rest
        }
        for probe in toGiveUp { probe.giveUp() }
        for probe in toStart {
            probe.progress.withLock { $0 = .running }
            queue.async { probe.work(probe) }
            let deadline = DispatchTime.now() + .nanoseconds(Int(probe.patience / .nanoseconds(1)))
            DispatchQueue.global().asyncAfter(deadline: deadline) { [self] in overrun(probe) }
        }
    }

    /// - Returns: Whether the result came in time.
    private func end(_ probe: Probe) -> Bool {
        let wasOverdue = state.withLock { state in
            let wasOverdue = probe.progress.withLock { progress in
                defer { progress = .done }
                return progress == .overdue
            }
            if wasOverdue {
                state.hung -= 1
                if probe.isDevice { state.hungDevices -= 1 }
                Self.subtract(probe.path, from: &state.hungPaths)
                Self.subtract(probe.directory, from: &state.hungDirectories)
            } else {
                state.running -= 1
            }
            return wasOverdue
        }
        startWaiting()
        return !wasOverdue
    }

    private func overrun(_ probe: Probe) {
        let isOverdue = state.withLock { state in
            let isOverdue = probe.progress.withLock { progress in
                guard progress == .running else { return false }
                progress = .overdue
                return true
            }
            guard isOverdue else { return false }
            state.running -= 1
            state.hung += 1
            if probe.isDevice { state.hungDevices += 1 }
            state.hungPaths[probe.path, default: 0] += 1
            state.hungDirectories[probe.directory, default: 0] += 1
            return true
        }
        guard isOverdue else { return }
        probe.giveUp()
        startWaiting()
    }

    private static func subtract(_ key: String, from counts: inout [String: Int]) {
        counts[key] = counts[key].flatMap { $0 > 1 ? $0 - 1 : nil }
    }
}
