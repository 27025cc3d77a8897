import CollectedLog
import Foundation
import Logging
import Synchronization
import Testing

@testable import LibvirtHypervisor
@testable import VolumeSwap

@Suite(.timeLimit(.minutes(10))) struct DomainCallsTests {
    private let clock = ManualClock()
    private let log = CollectedLog()
    private let web = DomainIdentity(uuid: "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11", name: "web")
    private let database = DomainIdentity(uuid: "00000000-0000-4000-8000-000000000001", name: "database")

    private func makeCalls() -> DomainCalls {
        DomainCalls(clock: clock, logger: Logger(label: "calls") { _ in log })
    }

    /// Starts a call that stays out until its gate opens; returns when it is out.
    private func start(
        _ calls: DomainCalls, _ name: String, on domain: DomainIdentity, _ gate: Gate, within limit: Duration = .seconds(35)
    ) async -> Task<Int, any Error> {
        let task = Task {
            try await calls.make(name, on: domain, within: limit, lease: {}) { _ in
                await gate.pass()
                return .success(7)
            }
        }
        await gate.reached()
        return task
    }

    private func call(_ calls: DomainCalls, _ name: String, on domain: DomainIdentity) async throws -> Int {
        try await calls.make(name, on: domain, within: .seconds(35), lease: {}) { _ in .success(8) }
    }

    private func refusal(_ body: () async throws -> Int) async -> HypervisorError? {
        await #expect(throws: HypervisorError.self) { try await body() }
    }

    @Test func callsOfOneDomainGoOneByOneAndOthersBeside() async throws {
        let calls = makeCalls()
        let gate = Gate()
        let first = await start(calls, "blockJobAbort", on: web, gate)
        let order = Mutex<[String]>([])
        let second = Task {
            let value = try await call(calls, "blockJobInfo", on: web)
            order.withLock { $0.append("second") }
            return value
        }
        #expect(try await call(calls, "blockInfo", on: database) == 8)
        order.withLock { $0.append("gate") }
        gate.open()
        #expect(try await first.value == 7)
        #expect(try await second.value == 8)
        #expect(order.withLock { $0 } == ["gate", "second"])
        #expect(calls.hungDomains.isEmpty)
        #expect(log.lines.isEmpty)
    }

    @Test func aHungDomainRefusesFurtherCallsAndHoldsNoOther() async throws {
        let calls = makeCalls()
        let gate = Gate()
        let hung = await start(calls, "blockJobAbort", on: web, gate)
        let waiting = Task { try await call(calls, "blockJobInfo", on: web) }
        while calls.waiters(web) == 0 { await Task.yield() }
        clock.advance(by: .seconds(5))
        let late = await refusal { try await waiting.value }
        #expect(late?.code == .busy)
        #expect(late?.message == "domain web does not answer: blockJobAbort has been out for 5 s")
        clock.advance(by: .seconds(2))
        let refused = await refusal { try await call(calls, "blockInfo", on: web) }
        #expect(refused?.code == .busy)
        #expect(refused?.message == "domain web does not answer: blockJobAbort has been out for 7 s")
        #expect(calls.hungDomains.map { "\($0.name) \($0.call) \((clock.now - $0.since).rounded)" } == ["web blockJobAbort 7 s"])
        #expect(try await call(calls, "blockInfo", on: database) == 8)

        gate.open()
        #expect(try await hung.value == 7)
        #expect(calls.hungDomains.isEmpty)
        #expect(try await call(calls, "blockInfo", on: web) == 8)
        #expect(
            log.lines == [
                "warning domain web does not answer: blockJobAbort has been out for 5 s",
                "notice domain web answers again, after 7 s",
            ])
    }

    @Test func aCallerWaitsNoLongerThanItSaidAndTheTurnStaysTaken() async throws {
        let calls = makeCalls()
        let gate = Gate()
        let hung = await start(calls, "blockCopy", on: web, gate, within: .seconds(30))
        clock.advance(by: .seconds(30))
        let error = await refusal { try await hung.value }
        #expect(error?.code == .busy)
        #expect(error?.message.contains("blockCopy has been out for 30 s, its effect is not known") == true)
        #expect(await refusal { try await call(calls, "blockInfo", on: web) }?.code == .busy)
        gate.open()
        while !calls.hungDomains.isEmpty { await Task.yield() }
        #expect(try await call(calls, "blockInfo", on: web) == 8)
    }

    @Test func aCancelledCallerGetsItsAnswerAtOnce() async throws {
        let calls = makeCalls()
        let gate = Gate()
        let hung = await start(calls, "blockJobAbort", on: web, gate)
        let waiting = Task { try await call(calls, "blockJobInfo", on: web) }
        while calls.waiters(web) == 0 { await Task.yield() }
        waiting.cancel()
        #expect(await refusal { try await waiting.value }?.message == "blockJobInfo of domain web was given up")
        hung.cancel()
        #expect(await refusal { try await hung.value }?.message == "blockJobAbort of domain web was given up")
        // The call itself is out still.
        clock.advance(by: .seconds(5))
        #expect(calls.hungDomains.map(\.call) == ["blockJobAbort"])
        gate.open()
        while !calls.hungDomains.isEmpty { await Task.yield() }
    }

    private static let lockTimeOut = HypervisorError(.busy, number: 68, "cannot acquire state change lock")
    private static let lost = HypervisorError(.connectionLost, number: 38, "End of file while reading data")

    /// Makes a call that is out for 30 seconds and returns with an error.
    private func hang(_ calls: DomainCalls, _ error: HypervisorError) async {
        let gate = Gate()
        let failed = Task {
            try await calls.make("blockInfo", on: web, within: .seconds(35), lease: {}) { _ -> Result<Int, HypervisorError> in
                await gate.pass()
                return .failure(error)
            }
        }
        await gate.reached()
        clock.advance(by: .seconds(30))
        gate.open()
        #expect(await refusal { try await failed.value } == error)
    }

    @Test(arguments: [lockTimeOut, lost]) func anErrorThatSaysNothingAboutTheDomainIsNoAnswer(_ error: HypervisorError)
        async throws
    {
        let calls = makeCalls()
        await hang(calls, error)
        #expect(calls.hungDomains.map(\.name) == ["web"])
        // It is tried again, and nobody says anything again.
        let again = Gate()
        let next = await start(calls, "blockJobInfo", on: web, again)
        clock.advance(by: .seconds(6))
        #expect(await refusal { try await call(calls, "blockInfo", on: web) }?.code == .busy)
        again.open()
        #expect(try await next.value == 7)
        #expect(calls.hungDomains.isEmpty)
        #expect(
            log.lines == [
                "warning domain web does not answer: blockInfo has been out for 5 s",
                "notice domain web answers again, after 36 s",
            ])
    }

    @Test func aCallThatHasJustBegunRefusesNoOtherAfterAHang() async throws {
        let calls = makeCalls()
        await hang(calls, Self.lockTimeOut)
        let gate = Gate()
        let first = await start(calls, "getXMLDesc", on: web, gate)
        let second = Task { try await call(calls, "blockInfo", on: web) }
        while calls.waiters(web) == 0 { await Task.yield() }
        gate.open()
        #expect(try await first.value == 7)
        #expect(try await second.value == 8)
        #expect(calls.hungDomains.isEmpty)
    }

    @Test func aHangThatNobodyAsksAboutIsForgotten() async throws {
        let calls = makeCalls()
        await hang(calls, Self.lockTimeOut)
        clock.advance(by: .seconds(60))
        #expect(calls.hungDomains.isEmpty)
    }

    @Test func aTurnWithoutAConnectionIsPassedOn() async throws {
        let calls = makeCalls()
        let lost = HypervisorError(.connectionLost, "no connection")
        let error = await refusal {
            try await calls.make(
                "blockInfo", on: web, within: .seconds(35), lease: { () throws(HypervisorError) in throw lost }
            ) { _ in .success(1) }
        }
        #expect(error == lost)
        #expect(try await call(calls, "blockInfo", on: web) == 8)
    }
}

/// Where a call waits until it is let go on.
private final class Gate: Sendable {
    private let way = AsyncStream.makeStream(of: Void.self)
    private let arrival = AsyncStream.makeStream(of: Void.self)

    func pass() async {
        arrival.continuation.finish()
        for await _ in way.stream {}
    }

    func reached() async { for await _ in arrival.stream {} }

    func open() { way.continuation.finish() }
}
