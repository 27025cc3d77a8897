import Synchronization
import Testing

@testable import Basics

@Suite("Work for many items")
struct ConcurrentMapTests {
    @Test("The results are in order, and no more than the limit run at a time")
    func order() async throws {
        let running = Atomic(0)
        let values = try await concurrentMap(Array(1...50), limit: 4) { item in
            #expect(running.wrappingAdd(1, ordering: .relaxed).newValue <= 4)
            await Task.yield()
            running.wrappingSubtract(1, ordering: .relaxed)
            return item * 2
        }
        #expect(values == (1...50).map { $0 * 2 })
    }

    @Test("Without items there is nothing to do") func empty() async throws {
        #expect(try await concurrentMap([Int](), limit: 3) { $0 } == [])
    }

    @Test("An error ends it")
    func error() async {
        await #expect(throws: CancellationError.self) {
            try await concurrentMap([1, 2], limit: 1) { _ -> Int in throw CancellationError() }
        }
    }
}
