import JSON
import Synchronization
import Testing
import VolumeSwap

@testable import OsloMessaging
@testable import pivotd

@Suite(.timeLimit(.minutes(10))) struct RequestObserverTests {
    private static let task = "9f1d1c0a-7b5e-4a7e-8c2d-3b4a5f607182"

    private static func send(_ observer: RequestObserver<InProcessTransport>) async throws(TransportError) -> PublishOutcome {
        let body = MessageEnvelope.wrap(["method": "swap_volume", "args": ["request_token": .string(task)]])
        return try await observer.publish(body, exchange: "openstack", routingKey: "pivotd.h", mandatory: true)
    }

    @Test func aSwapWhoseConfirmIsLateIsNamed() async throws {
        let (publishing, entered) = AsyncStream.makeStream(of: Void.self)
        let observer = RequestObserver(
            InProcessTransport(onPublish: { _ in
                entered.finish()
                try? await Task.sleep(for: .seconds(3600))
                return .confirmed
            }))
        #expect(SwapCommand.farewell(observer.sent, " --host h") == "\nnothing was sent")
        let sending = Task { try await Self.send(observer) }
        for await _ in publishing {}
        let late = SwapCommand.farewell(observer.sent, " --host h")
        #expect(late.contains("has not confirmed") && late.contains("pivotd abort \(Self.task) --host h"))
        sending.cancel()
        let outcome = try await sending.value
        #expect(outcome == .confirmed)
        #expect(observer.sent == SentSwap(task: TaskID(Self.task), isConfirmed: true))
        let confirmed = SwapCommand.farewell(observer.sent, " --host h")
        #expect(confirmed.hasPrefix("\nThe swap continues as task \(Self.task).\n"))
        #expect(confirmed.contains("pivotd status \(Self.task) --watch --host h\n"))
    }

    @Test(
        arguments: [
            (.invalid, false, false), (.forbidden, false, false), (.tooLarge, false, false), (.refused, false, false),
            (.refused, true, true), (.disconnected, true, true), (.lost, true, true), (.suspected, true, true),
        ] as [(TransportError.Code, Bool, Bool)])
    func afterAnErrorTheBrokerMayHaveTheSwapUnlessItRefusedIt(code: TransportError.Code, isRetriable: Bool, isSent: Bool) async {
        let error = TransportError(code: code, message: "an error", isRetriable: isRetriable)
        let observer = RequestObserver(
            InProcessTransport(onPublish: { (_) async throws(TransportError) -> PublishOutcome in throw error }))
        await #expect(throws: TransportError.self) { try await Self.send(observer) }
        #expect(observer.sent == (isSent ? SentSwap(task: TaskID(Self.task)) : nil))
    }

    @Test func aReturnedSwapIsWithNobodyUnlessAnEarlierAttemptMayBe() async throws {
        let observer = RequestObserver(InProcessTransport(onPublish: { _ in .returned }))
        let outcome = try await Self.send(observer)
        #expect(outcome == .returned && observer.sent == nil)

        let lost = TransportError(code: .lost, message: "lost", isRetriable: true)
        let attempts = Mutex(0)
        let other = RequestObserver(
            InProcessTransport(onPublish: { (_) async throws(TransportError) -> PublishOutcome in
                let attempt = attempts.withLock { attempts in
                    attempts += 1
                    return attempts
                }
                if attempt == 1 { throw lost }
                return .returned
            }))
        await #expect(throws: TransportError.self) { try await Self.send(other) }
        let second = try await Self.send(other)
        #expect(second == .returned && other.sent == SentSwap(task: TaskID(Self.task)))
    }

    @Test func theHintIsShownWhereTheOutcomeIsUnknown() {
        let hint = "check it"
        let late = CommandFailure(RPCClientError.timedOut(seconds: 5), hint: hint)
        #expect(late.message == "no answer: no reply within 5 s\ncheck it")
        #expect(CommandFailure(RPCClientError.unroutable(target: "t")).message == "no answer: no pivotd listens on t")
        #expect(CommandFailure(RemoteFailure(parsing: "no"), hint: hint).message == "RemoteError: no")
    }
}
