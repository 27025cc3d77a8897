import Basics
import BulkMove
import Foundation
import JSON

/// Carries a schedule out: sends what is due, follows what runs, shows and reports it.
struct MoveRun {
    private enum Event: Sendable {
        case tick
        /// A swap was sent, or not for this reason.
        case sent(Int, String?)
        case answer(Int, MoveBus.Answer)
    }

    /// The contact with a running line's worker.
    private struct Contact {
        var pause = Backoff(first: .milliseconds(500), longest: .seconds(5))
        var lastAnswer = ContinuousClock.now
        /// When the broker took the swap; nil if it has not, or did for another run of this command.
        var sent: ContinuousClock.Instant?
    }

    /// A worker that knows nothing of a swap for so long has not got it.
    private static let lostAfter = Duration.seconds(10)

    private let workers: any MoveWorkers
    private let hostTimeout: Duration
    private(set) var schedule: MoveSchedule
    private var contacts: [Int: Contact] = [:]
    private var display: MoveDisplay
    private var report: MoveReportFile?
    private let onChange: ([MoveEntry]) -> Void

    /// - Parameter onChange: is told the lines as they are, whenever they may have changed.
    init(
        _ schedule: MoveSchedule, _ workers: any MoveWorkers, hostTimeout: Duration, report: MoveReportFile?,
        display: MoveDisplay = MoveDisplay(), onChange: @escaping ([MoveEntry]) -> Void = { _ in }
    ) {
        self.schedule = schedule
        self.workers = workers
        self.hostTimeout = hostTimeout
        self.report = report
        self.display = display
        self.onChange = onChange
    }

    /// Runs until nothing is left to do, or until it is cancelled; what runs then goes on without it.
    ///
    /// - Returns: the lines as they are then.
    mutating func carryOut() async -> [MoveEntry] {
        await withTaskGroup(of: Event.self) { group in
            defer { group.cancelAll() }
            for index in schedule.entries.indices where schedule.entries[index].isRunning { follow(index, &group, at: .zero) }
            group.addTask { await Self.tick() }
            while !schedule.isOver(at: .now), !Task.isCancelled {
                for index in schedule.start(at: .now) { send(index, &group) }
                show()
                guard let event = await group.next() else { break }
                take(event, &group)
            }
        }
        show(isLast: true)
        await display.flush()
        return schedule.entries
    }

    private mutating func show(isLast: Bool = false) {
        onChange(schedule.entries)
        report?.write(schedule.entries, isLast: isLast)
        display.show(schedule, isLast: isLast)
    }

    private static func tick() async -> Event {
        try? await Task.sleep(for: .seconds(1))
        return .tick
    }

    private mutating func take(_ event: Event, _ group: inout TaskGroup<Event>) {
        switch event {
        case .tick: group.addTask { await Self.tick() }
        case .sent(let index, let trouble):
            contacts[index]?.sent = trouble == nil ? .now : nil
            if let trouble { display.note(silence: trouble, of: index) }
            follow(index, &group)
        case .answer(let index, .status(let json)):
            contacts[index]?.lastAnswer = .now
            take(json, of: index, &group)
        case .answer(let index, .unknown):
            contacts[index]?.lastAnswer = .now
            display.forget(index)
            let isOnItsWay = contacts[index]?.sent.map { .now - $0 < Self.lostAfter } ?? false
            if isOnItsWay { follow(index, &group) } else { putBack(index) }
        case .answer(let index, .silence(let reason)):
            display.note(silence: reason, of: index)
            if let last = contacts[index]?.lastAnswer, .now - last > hostTimeout {
                schedule.giveUp(index)
            } else {
                follow(index, &group)
            }
        }
    }

    private mutating func take(_ json: JSONValue, of index: Int, _ group: inout TaskGroup<Event>) {
        guard schedule.entries[index].line.isSwap(in: json) else { return schedule.refuse(index, .otherSwap) }
        display.note(SwapState(json), of: index)
        let attempt = schedule.entries[index].attempt
        schedule.note(MoveStatus(json), of: index, at: .now)
        let entry = schedule.entries[index]
        if entry.isRunning, entry.attempt == attempt { return follow(index, &group) }
        contacts[index] = nil
        display.forget(index)
    }

    /// Lets the schedule decide when a line that its worker does not know is sent again.
    private mutating func putBack(_ index: Int) {
        schedule.putBack(index)
        contacts[index] = nil
    }

    private mutating func send(_ index: Int, _ group: inout TaskGroup<Event>) {
        if contacts[index] == nil { contacts[index] = Contact() }
        let (line, attempt) = (schedule.entries[index].line, schedule.entries[index].attempt)
        group.addTask { [workers] in .sent(index, await workers.send(line, attempt: attempt)) }
    }

    /// Asks the worker about a line after a pause.
    private mutating func follow(_ index: Int, _ group: inout TaskGroup<Event>, at first: Duration? = nil) {
        var contact = contacts[index] ?? Contact()
        let pause = first ?? contact.pause.pause()
        contacts[index] = contact
        let (line, attempt) = (schedule.entries[index].line, schedule.entries[index].attempt)
        group.addTask { [workers] in
            try? await Task.sleep(for: pause)
            return .answer(index, await workers.status(of: line, attempt: attempt))
        }
    }
}
