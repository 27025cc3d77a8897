package import Foundation

/// Decides what a move starts next. Pure: time and what the workers say are passed in.
package struct MoveSchedule: Sendable {
    /// How much may happen at a time, and how often.
    package struct Limits: Sendable {
        /// Running swaps in all.
        package var total = 8
        /// Running swaps of a host.
        package var perHost = 2
        /// How often a line is retried after failures that may pass.
        package var retries = 2
        /// The pause before the first retry in seconds; each further one is twice as long, up to an hour.
        package var retryPause = 30.0
        /// When swaps may start; nil for always.
        package var window: MoveWindow?

        package init() {}
    }

    /// What is known of a line before anything is sent.
    package enum Finding: Sendable {
        /// This attempt is to be sent.
        case fresh(attempt: Int)
        /// The worker knows this attempt, and none after it.
        case known(attempt: Int, MoveStatus)
        case refused(MoveRefusal)
        case unreachable(MoveRefusal)
    }

    private static let longestPause = 3600.0
    /// A rollback that takes longer than this in seconds waits for its volume, perhaps for ever.
    private static let rollbackLimit = 30.0

    /// The lines, in the plan's order.
    package private(set) var entries: [MoveEntry]
    private let limits: Limits
    private let calendar: Calendar

    /// - Parameter findings: one for each line.
    package init(
        _ lines: [MoveLine], _ findings: [Finding], limits: Limits, now: Date, calendar: Calendar = .current
    ) {
        self.limits = limits
        self.calendar = calendar
        entries = lines.map {
            MoveEntry(line: $0, state: .pending(notBefore: nil), attempt: 1, retriesLeft: limits.retries, isSent: false)
        }
        for (index, finding) in findings.enumerated() { take(finding, index, now) }
    }

    private mutating func take(_ finding: Finding, _ index: Int, _ now: Date) {
        switch finding {
        case .fresh(let attempt): entries[index].attempt = attempt
        case .known(let attempt, let status):
            entries[index].attempt = attempt
            entries[index].isSent = true
            entries[index].retriesLeft = max(0, limits.retries - (attempt - 1))
            entries[index].state = .running(nil)
            note(status, of: index, at: now)
        case .refused(let refusal): entries[index].state = .refused(refusal)
        case .unreachable: entries[index].state = .unreachable
        }
    }

    /// Whether nothing runs and nothing will. Long rollbacks are left to their workers.
    package func isOver(at now: Date) -> Bool {
        entries.allSatisfy { entry in
            let isStuck = entry.rollingBackSince.map { now.timeIntervalSince($0) >= Self.rollbackLimit } ?? false
            return !entry.isPending && (!entry.isRunning || isStuck)
        }
    }

    /// When swaps may start; nil for always.
    package var window: MoveWindow? { limits.window }

    /// Whether something could start if the window were open.
    package func isWaitingForWindow(at now: Date) -> Bool {
        !isOpen(at: now) && entries.contains(where: \.isPending)
    }

    /// The lines that start now; they count as running from here on.
    ///
    /// - Returns: indices of ``entries``, in the plan's order.
    package mutating func start(at now: Date) -> [Int] {
        guard isOpen(at: now) else { return [] }
        let running = entries.filter(\.isRunning)
        let copying = running.filter { $0.rollingBackSince == nil }
        var total = copying.count
        var hosts = copying.reduce(into: [String: Int]()) { $0[$1.line.host, default: 0] += 1 }
        var instances = Set(running.map(\.line.place))
        var started: [Int] = []
        for index in entries.indices where total < limits.total {
            let line = entries[index].line
            guard case .pending(let notBefore) = entries[index].state, notBefore.map({ $0 <= now }) ?? true,
                hosts[line.host, default: 0] < limits.perHost,
                // The worker runs one swap of an instance at a time; a second one would only take a place.
                instances.insert(line.place).inserted
            else { continue }
            total += 1
            hosts[line.host, default: 0] += 1
            entries[index].state = .running(nil)
            entries[index].isSent = true
            started.append(index)
        }
        return started
    }

    /// Takes what the worker says of a running line; a failure that may pass is retried.
    package mutating func note(_ status: MoveStatus, of index: Int, at now: Date) {
        guard entries[index].isRunning else { return }
        guard status.isFinal else {
            entries[index].state = .running(status)
            entries[index].rollingBackSince = status.isRollingBack ? entries[index].rollingBackSince ?? now : nil
            return
        }
        entries[index].rollingBackSince = nil
        guard status.state == "failed", status.isRetryable, entries[index].retriesLeft > 0 else {
            entries[index].state = .ended(status)
            return
        }
        let retried = Double(limits.retries - entries[index].retriesLeft)
        let pause = min(limits.retryPause * pow(2, retried), Self.longestPause)
        entries[index].previous = status
        entries[index].attempt += 1
        entries[index].isSent = false
        entries[index].retriesLeft -= 1
        entries[index].state = .pending(notBefore: now.addingTimeInterval(pause))
    }

    /// The worker of a running line does not know its attempt, which may be sent again as soon as a place is free and the window open.
    package mutating func putBack(_ index: Int) {
        guard entries[index].isRunning else { return }
        entries[index].rollingBackSince = nil
        entries[index].state = .pending(notBefore: nil)
    }

    /// Gives up a host that has not answered about this line for too long; its other running lines are given up when their own time is up.
    package mutating func giveUp(_ index: Int) {
        let host = entries[index].line.host
        entries[index].state = .unreachable
        for other in entries.indices where entries[other].isPending && entries[other].line.host == host {
            entries[other].state = .unreachable
        }
    }

    /// A running line's token turned out to belong to another swap.
    package mutating func refuse(_ index: Int, _ refusal: MoveRefusal) { entries[index].state = .refused(refusal) }

    private func isOpen(at now: Date) -> Bool { limits.window?.isOpen(at: now, in: calendar) ?? true }
}

extension MoveLine {
    /// The instance on its host.
    fileprivate var place: String { "\(host) \(instanceKey)" }
}
