internal import Basics
package import Budgets
import Foundation
import Synchronization

/// The bandwidth and the places that the host's swaps share: `host_bandwidth_mib_s`, `schedule`, `limits`.
package struct BudgetSettings: Sendable, Equatable {
    /// MiB/s of all copies together; 0 for no limit.
    package var bandwidthMiBs: Int64 = 0
    /// MiB/s of all copies together, by time of day; nil for none.
    package var schedule: BandwidthSchedule?
    package var rules: [BudgetRule] = []

    package init() {}

    /// Whether anything limits the bandwidth, ever.
    fileprivate var limitsBandwidth: Bool {
        bandwidthMiBs > 0 || schedule != nil || rules.contains { $0.bandwidthMiBs > 0 }
    }

    /// Bytes/s of all copies together at a time; nil for no limit.
    func bandwidth(at date: Date) -> Int64? {
        [bandwidthMiBs, schedule?.limit(at: date) ?? 0].filter { $0 > 0 }.min().map { $0 << 20 }
    }
}

/// Divides the host's bandwidth among its running copies, again whenever one comes or goes, and admits swaps under the rules that
/// their volumes match.
package final class HostBudget: Sendable {
    /// A swap's volumes, which only rules need.
    typealias Volumes = @Sendable () -> BudgetVolumes

    /// A swap that has to wait for a place under a rule.
    struct Wait: Sendable {
        /// The rule's match.
        let rule: String
        let waiter: Waiter<Void>
    }

    private struct Copy {
        /// bytes/s; 0 for none.
        var limit: Int64
        /// Another upper bound in bytes/s, which keeps the guest's requests short; 0 for none.
        var ceiling: Int64
        /// bytes/s as last applied; 0 for none.
        var speed: Int64
        let apply: @Sendable (Int64) -> Void

        /// The lesser of its own bounds in bytes/s; 0 for none.
        var bound: Int64 { [limit, ceiling].filter { $0 > 0 }.min() ?? 0 }
    }

    /// A swap, and the rules that it is subject to.
    private struct Subject {
        private let volumes: Volumes
        /// Indexes of the rules, in order.
        private(set) var rules: [Int] = []

        init(_ volumes: @escaping Volumes, to rules: [BudgetRule]) {
            self.volumes = volumes
            match(rules)
        }

        /// Finds the rules that it is subject to: once for each set of rules, since matching takes long.
        mutating func match(_ rules: [BudgetRule]) {
            guard !rules.isEmpty else { return self.rules = [] }
            let known = volumes()
            self.rules = rules.indices.filter { known.matches(rules[$0]) }
        }
    }

    /// The number of swaps under each rule that come before another one.
    private struct Tally {
        private let rules: [BudgetRule]
        private var counts: [Int]

        init(of swaps: some Sequence<Subject>, under rules: [BudgetRule]) {
            self.rules = rules
            counts = Array(repeating: 0, count: rules.count)
            for swap in swaps { add(swap) }
        }

        mutating func add(_ swap: Subject) {
            for rule in swap.rules { counts[rule] += 1 }
        }

        /// The first rule under which there is no place.
        func obstacle(to swap: Subject) -> BudgetRule? {
            swap.rules.first { rules[$0].concurrent > 0 && counts[$0] >= rules[$0].concurrent }.map { rules[$0] }
        }
    }

    private struct Waiting {
        let task: TaskID
        var swap: Subject
        let waiter: Waiter<Void>
    }

    private struct State {
        var settings = BudgetSettings()
        /// Whether copies share anything; else each runs at its own limit.
        var isShared = false
        /// Running swaps.
        var admitted: [TaskID: Subject] = [:]
        /// In order of arrival.
        var waiting: [Waiting] = []
        var copies: [TaskID: Copy] = [:]
        var timer: ScheduledAction?
        /// Whether the schedule keeps swaps from beginning, and who is told when that changes.
        var isPaused = false
        var onPause: (@Sendable (Bool) -> Void)?
    }

    /// The host's own budget, beside those of the rules by their index.
    private static let host = -1
    /// A wall clock that steps is noticed within this time.
    private static let longestSleep = Duration.seconds(3600)

    private let clock: any SwapClock
    private let state = Mutex(State())

    init(clock: any SwapClock) { self.clock = clock }

    /// Applies new settings to all copies. Swaps that already run stay admitted.
    func change(_ settings: BudgetSettings) {
        state.withLock { state in
            if settings.rules != state.settings.rules {
                for task in state.admitted.keys { state.admitted[task]?.match(settings.rules) }
                for index in state.waiting.indices { state.waiting[index].swap.match(settings.rules) }
            }
            state.settings = settings
            state.isShared = settings.limitsBandwidth
            for (task, copy) in state.copies where !state.isShared { apply(copy.bound, to: task, &state) }
            state.timer?.cancel()
            state.timer = nil
            followSchedule(&state)
            admitWaiting(&state)
        }
    }

    /// bytes/s of all copies together now; nil for no limit.
    package var bandwidth: Int64? { state.withLock { $0.settings.bandwidth(at: clock.date) } }

    /// Reports whether the schedule keeps new swaps from beginning: now, and whenever that changes.
    ///
    /// - Parameter body: must not block or call back.
    func onPause(_ body: @escaping @Sendable (Bool) -> Void) {
        state.withLock { state in
            state.onPause = body
            state.isPaused = false
            followSchedule(&state)
        }
    }

    // MARK: Places

    /// Admits a swap under the rules that it matches.
    ///
    /// - Parameter isBegun: it runs already, since before a restart, and does not wait.
    /// - Returns: nil if it is admitted; else it will be when the waiter is resumed.
    func admit(_ task: TaskID, _ volumes: @escaping Volumes, isBegun: Bool) -> Wait? {
        state.withLock { state in
            let swap = Subject(volumes, to: state.settings.rules)
            var tally = Tally(of: state.admitted.values, under: state.settings.rules)
            for entry in state.waiting where !entry.waiter.isResumed { tally.add(entry.swap) }
            guard !isBegun, let rule = tally.obstacle(to: swap) else {
                state.admitted[task] = swap
                return nil
            }
            let waiter = Waiter<Void>()
            state.waiting.append(Waiting(task: task, swap: swap, waiter: waiter))
            return Wait(rule: rule.name, waiter: waiter)
        }
    }

    /// Gives up a swap's place, and its copy's share.
    func leave(_ task: TaskID) {
        state.withLock { state in
            state.admitted[task] = nil
            if state.copies.removeValue(forKey: task) != nil { divide(&state) }
            guard !state.waiting.isEmpty else { return }
            state.waiting.removeAll { $0.task == task }
            admitWaiting(&state)
        }
    }

    private func admitWaiting(_ state: inout State) {
        var tally = Tally(of: state.admitted.values, under: state.settings.rules)
        var left: [Waiting] = []
        for entry in state.waiting where !entry.waiter.isResumed {
            if tally.obstacle(to: entry.swap) == nil {
                state.admitted[entry.task] = entry.swap
                entry.waiter.resume()
            } else {
                left.append(entry)
            }
            // Also one that waits on: those who came earlier go first.
            tally.add(entry.swap)
        }
        state.waiting = left
    }

    // MARK: Bandwidth

    /// Adds a copy.
    ///
    /// - Parameters:
    ///   - task: the copy's swap, which was admitted.
    ///   - limit: the copy's own limit in bytes/s; 0 for none.
    ///   - ceiling: another upper bound in bytes/s, see ``changeCopy(_:ceiling:)``; 0 for none.
    ///   - apply: called with each later speed in bytes/s, 0 for unlimited. Must not block or call back.
    /// - Returns: the speed to begin with.
    func beginCopy(
        _ task: TaskID, limit: Int64, ceiling: Int64 = 0, apply: @escaping @Sendable (Int64) -> Void
    ) -> Int64 {
        state.withLock { state in
            let silent = Copy(limit: limit, ceiling: ceiling, speed: 0, apply: { _ in })
            state.copies[task] = Copy(limit: limit, ceiling: ceiling, speed: silent.bound, apply: silent.apply)
            divide(&state)
            let speed = state.copies[task]?.speed ?? silent.bound
            state.copies[task] = Copy(limit: limit, ceiling: ceiling, speed: speed, apply: apply)
            return speed
        }
    }

    /// Changes a copy's own limit in bytes/s; nothing if it does not run.
    func changeCopy(_ task: TaskID, limit: Int64) {
        state.withLock { state in
            state.copies[task]?.limit = limit
            applyBound(of: task, &state)
        }
    }

    /// Changes the upper bound in bytes/s that keeps the guest's requests short; nothing if the copy does not run. The copy's own
    /// limit, the rules and the host's bandwidth hold as well.
    func changeCopy(_ task: TaskID, ceiling: Int64) {
        state.withLock { state in
            guard let known = state.copies[task]?.ceiling, known != ceiling else { return }
            state.copies[task]?.ceiling = ceiling
            applyBound(of: task, &state)
        }
    }

    private func applyBound(of task: TaskID, _ state: inout State) {
        if !state.isShared, let bound = state.copies[task]?.bound { apply(bound, to: task, &state) }
        divide(&state)
    }

    /// Gives the copy's share to the others.
    func endCopy(_ task: TaskID) {
        state.withLock { state in
            guard state.copies.removeValue(forKey: task) != nil else { return }
            divide(&state)
        }
    }

    /// The speed in bytes/s that a copy was given, 0 for unlimited; nil if it does not run.
    func speed(of task: TaskID) -> Int64? { state.withLock { $0.copies[task]?.speed } }

    /// Number of swaps that wait for a place.
    var waiting: Int { state.withLock { $0.waiting.count { !$0.waiter.isResumed } } }

    /// The speed in bytes/s that one more copy would begin with now; 0 for unlimited.
    func speed(ofOneMore volumes: @escaping Volumes, limit: Int64) -> Int64 {
        let newcomer = TaskID("")
        return state.withLock { state in
            var state = state
            state.admitted[newcomer] = Subject(volumes, to: state.settings.rules)
            state.copies[newcomer] = Copy(limit: limit, ceiling: 0, speed: limit, apply: { _ in })
            return shares(state)[newcomer].flatMap { $0 } ?? 0
        }
    }

    /// Divides the bandwidth anew and applies what has changed.
    private func divide(_ state: inout State) {
        guard state.isShared else { return }
        keepTime(&state)
        for (task, share) in shares(state) { apply(share ?? 0, to: task, &state) }
    }

    private func apply(_ speed: Int64, to task: TaskID, _ state: inout State) {
        guard let copy = state.copies[task], copy.speed != speed else { return }
        state.copies[task]?.speed = speed
        copy.apply(speed)
    }

    private func shares(_ state: State) -> [TaskID: Int64?] {
        let settings = state.settings
        var budgets: [Int: Int64] = [:]
        budgets[Self.host] = settings.bandwidth(at: clock.date)
        for (index, rule) in settings.rules.enumerated() where rule.bandwidthMiBs > 0 {
            budgets[index] = rule.bandwidthMiBs << 20
        }
        var sharers: [TaskID: BandwidthDivision.Copy] = [:]
        for (task, copy) in state.copies {
            let rules = state.admitted[task]?.rules ?? []
            sharers[task] = BandwidthDivision.Copy(
                limit: copy.bound > 0 ? copy.bound : nil,
                budgets: budgets.keys.filter { $0 == Self.host || rules.contains($0) })
        }
        return BandwidthDivision.shares(of: sharers, budgets: budgets)
    }

    /// Applies what the schedule says now.
    private func followSchedule(_ state: inout State) {
        let isPaused = state.settings.schedule?.isPaused(at: clock.date) ?? false
        if state.isPaused != isPaused {
            state.isPaused = isPaused
            state.onPause?(isPaused)
        }
        keepTime(&state)
        divide(&state)
    }

    /// Follows the schedule when it changes.
    private func keepTime(_ state: inout State) {
        guard state.timer == nil, let schedule = state.settings.schedule, schedule.hasPauses || !state.copies.isEmpty else {
            return
        }
        let seconds = schedule.nextChange(after: clock.date).timeIntervalSince(clock.date)
        let pause = min(Self.longestSleep, .seconds(max(0, seconds)) + .milliseconds(10))
        state.timer = clock.schedule(after: pause) { [weak self] in
            self?.state.withLock { state in
                state.timer = nil
                self?.followSchedule(&state)
            }
        }
    }
}

/// A swap's two volumes, as rules see them.
struct BudgetVolumes: Sendable {
    let source: BudgetVolume
    let destination: BudgetVolume

    func matches(_ rule: BudgetRule) -> Bool { rule.applies(from: source, to: destination) }
}

/// Reads a swap's volumes once.
private final class KnownVolumes: Sendable {
    private let known = Mutex<BudgetVolumes?>(nil)

    func volumes(_ read: () -> BudgetVolumes) -> BudgetVolumes {
        known.withLock { known in
            let volumes = known ?? read()
            known = volumes
            return volumes
        }
    }
}

extension SwapEnvironment {
    func budgetVolumes(of request: SwapRequest) -> HostBudget.Volumes {
        let (old, new) = (request.oldConnection, request.newConnection)
        let known = KnownVolumes()
        return { [self] in
            known.volumes {
                BudgetVolumes(source: old.budgetVolume(settings.volumes), destination: new.budgetVolume(settings.volumes))
            }
        }
    }
}

extension ConnectionInfo {
    /// By all that connection_info says of its place, without asking the host.
    func budgetVolume(_ settings: VolumeSettings) -> BudgetVolume {
        var places = [text("export"), text("name"), text("target_portal"), text("device_path")].compactMap { $0 }
        let target = try? target(mountPointBase: settings.mountPointBase, argument: "connection_info")
        if let location = target?.location {
            places.append("\(location)")
            if case .network(let network) = location {
                places.append(network.name)
                places += network.hosts.flatMap { $0.places(defaultPort: network.driver?.defaultPort) }
            }
        }
        return BudgetVolume(driver: driverVolumeType, places: places)
    }
}

extension NetworkLocation.Host {
    /// `host:port`, an IPv6 address with brackets and without; if no port is given with the protocol's default, and the host alone.
    fileprivate func places(defaultPort: Int?) -> [String] {
        let names = name.contains(":") ? [name, "[\(name)]"] : [name]
        let full = (port ?? defaultPort).map { port in names.map { "\($0):\(port)" } } ?? []
        return port == nil ? names + full : full
    }
}
