import Foundation
import SeededRandom
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("One at a time per key, different keys in parallel", .timeLimit(.minutes(10)))
struct InstanceQueueTests {
    /// Records who began, who runs, and how many at most.
    final class Ledger: Sendable {
        struct State {
            var order: [String] = []
            var running: Set<String> = []
            var most = 0
            var clashes = 0
        }

        let state = Mutex(State())

        func begin(_ key: String, _ name: String) {
            state.withLock { state in
                state.order.append(name)
                if !state.running.insert(key).inserted { state.clashes += 1 }
                state.most = max(state.most, state.running.count)
            }
        }

        func end(_ key: String) { state.withLock { _ = $0.running.remove(key) } }
        var order: [String] { state.withLock { $0.order } }
    }

    /// Runs what `prepare` fills in until `count` pieces of work have ended.
    static func run(limit: Int, count: Int, _ prepare: (InstanceQueue, AsyncStream<Void>.Continuation) -> Void) async {
        let instanceQueue = InstanceQueue(limit: limit)
        let (ends, end) = AsyncStream<Void>.makeStream()
        prepare(instanceQueue, end)
        let running = Task { await instanceQueue.run() }
        var left = count
        if left > 0 {
            for await _ in ends {
                left -= 1
                if left == 0 { break }
            }
        }
        running.cancel()
        await running.value
    }

    @Test("While it is paused nothing begins; what has given up its slot gets one again before new work")
    func pauseAndReturn() async {
        let (instanceQueue, ledger) = (InstanceQueue(limit: 1), Ledger())
        let (steps, step) = AsyncStream<String>.makeStream()
        let (gates, gate) = AsyncStream<Void>.makeStream()
        let tickets = ["a", "b", "c"].map { instanceQueue.reserve($0) }
        instanceQueue.fill(tickets[0]) {
            instanceQueue.giveUpSlot(tickets[0])
            step.yield("a waits")
            for await _ in gates { break }
            await instanceQueue.takeSlot(tickets[0])
            step.yield("a has a slot")
        }
        instanceQueue.fill(tickets[1]) {
            step.yield("b")
            gate.yield()
            // Until a has asked: then c would be next otherwise.
            while instanceQueue.returning == 0 { await Task.yield() }
        }
        instanceQueue.fill(tickets[2]) { step.yield("c") }
        instanceQueue.isPaused = true
        #expect(tickets.map { instanceQueue.wait(of: $0) } == [.pause, .pause, .pause])
        let running = Task { await instanceQueue.run() }
        for _ in 0..<100 { await Task.yield() }
        #expect(instanceQueue.running == 0)
        instanceQueue.isPaused = false
        for await name in steps {
            ledger.begin(name, name)
            if name == "c" { break }
        }
        #expect(ledger.order == ["a waits", "b", "a has a slot", "c"])
        running.cancel()
        await running.value
    }

    @Test("Work that goes on with something after a restart does not wait for the end of a pause")
    func begunWorkDuringAPause() async {
        let (instanceQueue, (steps, step)) = (InstanceQueue(limit: 2), AsyncStream.makeStream(of: String.self))
        instanceQueue.isPaused = true
        let begun = instanceQueue.reserve("a", isBegun: true)
        let new = instanceQueue.reserve("b")
        for (name, ticket) in [("new", new), ("begun", begun)] { instanceQueue.fill(ticket) { step.yield(name) } }
        #expect(instanceQueue.wait(of: new) == .pause)
        let running = Task { await instanceQueue.run() }
        for await name in steps {
            #expect(name == (instanceQueue.isPaused ? "begun" : "new"))
            if name == "new" { break }
            instanceQueue.isPaused = false
        }
        running.cancel()
        await running.value
    }

    @Test("During a pause work that has begun does not wait for new work before it, and that runs after the pause")
    func begunWorkBehindNew() async {
        let (instanceQueue, (steps, step)) = (InstanceQueue(limit: 2), AsyncStream.makeStream(of: String.self))
        instanceQueue.isPaused = true
        let new = instanceQueue.reserve("a")
        let begun = instanceQueue.reserve("a", isBegun: true)
        for (name, ticket) in [("new", new), ("begun", begun)] { instanceQueue.fill(ticket) { step.yield(name) } }
        #expect(instanceQueue.wait(of: new) == .pause)
        let running = Task { await instanceQueue.run() }
        var order: [String] = []
        for await name in steps {
            order.append(name)
            if order.count == 2 { break }
            for _ in 0..<100 { await Task.yield() }
            instanceQueue.isPaused = false
        }
        #expect(order == ["begun", "new"])
        running.cancel()
        await running.value
    }

    @Test("Places keep their order, in whatever order they are filled")
    func order() async {
        let ledger = Ledger()
        await Self.run(limit: 4, count: 4) { instanceQueue, end in
            let tickets = (0..<4).map { _ in instanceQueue.reserve("a") }
            for index in [2, 0, 3, 1] {
                instanceQueue.fill(tickets[index]) {
                    ledger.begin("a", "\(index)")
                    ledger.end("a")
                    end.yield()
                }
            }
        }
        #expect(ledger.order == ["0", "1", "2", "3"])
    }

    @Test("The oldest place and the longest work are known, restarts included")
    func oldest() async {
        let now = Date(timeIntervalSince1970: 5000)
        let instanceQueue = InstanceQueue(limit: 4) { now }
        #expect(instanceQueue.oldest == (nil, nil))
        func accepted(_ time: Double) -> Date { Date(timeIntervalSince1970: time) }
        let (begins, begin) = AsyncStream<Void>.makeStream()
        let (ends, end) = AsyncStream<Void>.makeStream()
        for ticket in [
            instanceQueue.reserve("a", since: accepted(1000), began: accepted(2000)),
            instanceQueue.reserve("b", since: accepted(1500)),
        ] {
            instanceQueue.fill(ticket) {
                begin.yield()
                for await _ in ends { break }
            }
        }
        _ = instanceQueue.reserve("a", since: accepted(4000))
        _ = instanceQueue.reserve("c")
        #expect(instanceQueue.oldest == (accepted(1000), nil))
        let running = Task { await instanceQueue.run() }
        var iterator = begins.makeAsyncIterator()
        for _ in 0..<2 { await iterator.next() }
        #expect(instanceQueue.oldest == (accepted(4000), accepted(2000)))
        end.finish()
        running.cancel()
        await running.value
    }

    @Test("An unfilled place holds up only its own key")
    func unfilled() async {
        let ledger = Ledger()
        await Self.run(limit: 4, count: 1) { instanceQueue, end in
            _ = instanceQueue.reserve("a")
            let second = instanceQueue.reserve("a")
            instanceQueue.fill(second) { ledger.begin("a", "a2") }
            let other = instanceQueue.reserve("b")
            instanceQueue.fill(other) {
                ledger.begin("b", "b")
                end.yield()
            }
        }
        #expect(ledger.order == ["b"])
    }

    @Test("An abandoned place lets the next one pass")
    func withdrawn() async {
        let ledger = Ledger()
        await Self.run(limit: 1, count: 1) { instanceQueue, end in
            let first = instanceQueue.reserve("a")
            let second = instanceQueue.reserve("a")
            instanceQueue.fill(second) {
                ledger.begin("a", "second")
                end.yield()
            }
            #expect(instanceQueue.depth == 2)
            #expect(instanceQueue.withdraw(first))
            #expect(!instanceQueue.withdraw(first))
            #expect(instanceQueue.depth == 1)
            instanceQueue.fill(first) { ledger.begin("a", "first") }
        }
        #expect(ledger.order == ["second"])
    }

    @Test("Work of different keys runs in parallel, up to the limit")
    func sideBySide() async {
        // Two that wait for each other can only end if they run in parallel.
        let (left, leftOut) = AsyncStream<Void>.makeStream()
        let (right, rightOut) = AsyncStream<Void>.makeStream()
        await Self.run(limit: 2, count: 2) { instanceQueue, end in
            instanceQueue.fill(instanceQueue.reserve("a")) {
                rightOut.yield()
                for await _ in left { break }
                end.yield()
            }
            instanceQueue.fill(instanceQueue.reserve("b")) {
                leftOut.yield()
                for await _ in right { break }
                end.yield()
            }
        }
    }

    @Test("Work outside the queues takes no slot")
    func aside() async {
        let (gate, open) = AsyncStream<Void>.makeStream()
        await Self.run(limit: 1, count: 1) { instanceQueue, end in
            instanceQueue.fill(instanceQueue.reserve("a")) {
                for await _ in gate { break }
                end.yield()
            }
            instanceQueue.runAside { open.yield() }
        }
    }

    @Test("A withdrawal after the start is too late")
    func lateWithdrawal() async {
        let instanceQueue = InstanceQueue(limit: 1)
        let (ends, end) = AsyncStream<Bool>.makeStream()
        let ticket = instanceQueue.reserve("a")
        instanceQueue.fill(ticket) { end.yield(instanceQueue.withdraw(ticket)) }
        let running = Task { await instanceQueue.run() }
        for await withdrawn in ends {
            #expect(!withdrawn)
            break
        }
        running.cancel()
        await running.value
        #expect(instanceQueue.depth == 0)
        #expect(instanceQueue.running == 0)
    }

    @Test("Stopping cancels running work and waits for it")
    func stopping() async {
        let instanceQueue = InstanceQueue(limit: 1)
        let wasCancelled = Mutex(false)
        let (begins, begin) = AsyncStream<Void>.makeStream()
        instanceQueue.fill(instanceQueue.reserve("a")) {
            begin.yield()
            try? await Task.sleep(for: .seconds(60))
            wasCancelled.withLock { $0 = Task.isCancelled }
        }
        let running = Task { await instanceQueue.run() }
        for await _ in begins { break }
        running.cancel()
        await running.value
        #expect(wasCancelled.withLock { $0 })
    }

    @Test("Random places, fills and withdrawals keep order, limit and count", arguments: 0..<20)
    func stress(seed: UInt64) async {
        var generator = SplitMix64(seed: seed)
        let ledger = Ledger()
        let limit = Int.random(in: 1...5, using: &generator)
        var expected: [String: [String]] = [:]
        var plan: [(key: String, name: String, isWanted: Bool)] = []
        for index in 0..<120 {
            let key = "k\(Int.random(in: 0..<8, using: &generator))"
            let isWanted = Int.random(in: 0..<5, using: &generator) > 0
            plan.append((key, "\(key)/\(index)", isWanted))
            if isWanted { expected[key, default: []].append("\(key)/\(index)") }
        }
        let shuffled = plan.indices.shuffled(using: &generator)
        let entries = plan
        await Self.run(limit: limit, count: entries.count { $0.isWanted }) { instanceQueue, end in
            let tickets = entries.map { instanceQueue.reserve($0.key) }
            for index in shuffled {
                let entry = entries[index]
                guard entry.isWanted else {
                    instanceQueue.withdraw(tickets[index])
                    continue
                }
                instanceQueue.fill(tickets[index]) {
                    ledger.begin(entry.key, entry.name)
                    await Task.yield()
                    ledger.end(entry.key)
                    end.yield()
                }
            }
        }
        let order = ledger.order
        for (key, names) in expected { #expect(order.filter { $0.hasPrefix("\(key)/") } == names, "seed \(seed)") }
        ledger.state.withLock { state in
            #expect(state.clashes == 0)
            #expect(state.most <= limit)
        }
    }

    @Test("Work that gives up its slot lets another key run and keeps its own closed")
    func givesUpSlot() async {
        let ledger = Ledger()
        let (opens, open) = AsyncStream<Void>.makeStream()
        await Self.run(limit: 1, count: 4) { instanceQueue, end in
            let first = instanceQueue.reserve("a")
            instanceQueue.fill(first) {
                ledger.begin("a", "a1")
                instanceQueue.giveUpSlot(first)
                instanceQueue.giveUpSlot(first)
                for await _ in opens { break }
                ledger.end("a")
                end.yield()
            }
            instanceQueue.fill(instanceQueue.reserve("a")) {
                ledger.begin("a", "a2")
                ledger.end("a")
                end.yield()
            }
            for key in ["b", "c"] {
                instanceQueue.fill(instanceQueue.reserve(key)) {
                    ledger.begin(key, key)
                    #expect(instanceQueue.running == 2)
                    ledger.end(key)
                    if key == "c" { open.yield() }
                    end.yield()
                }
            }
        }
        #expect(ledger.order == ["a1", "b", "c", "a2"])
        #expect(ledger.state.withLock { $0.most } == 2)
    }
}
