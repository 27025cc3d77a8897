import Synchronization
import Testing

@testable import Basics

@Suite struct AlongsideTests {
    private struct Refusal: Error {}

    private static let forever: @Sendable () async throws -> Void = { try await Task.sleep(for: .seconds(3600)) }

    @Test func theWorksEndCancelsTheOthers() async throws {
        let isCancelled = Mutex(false)
        let value = try await alongside([
            {
                do { try await Self.forever() } catch { isCancelled.withLock { $0 = true } }
            }
        ]) { 7 }
        #expect(value == 7 && isCancelled.withLock { $0 })
    }

    @Test func anotherMayEndBeforeTheWork() async throws {
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let value = try await alongside([{ end.finish() }]) {
            for await _ in ends {}
            return 7
        }
        #expect(value == 7)
    }

    @Test func anErrorEndsAll() async {
        await #expect(throws: Refusal.self) { try await alongside([{ throw Refusal() }], Self.forever) }
        await #expect(throws: Refusal.self) { try await alongside([Self.forever]) { throw Refusal() } }
    }
}
