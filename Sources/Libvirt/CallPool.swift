import Dispatch
import Foundation
import Synchronization

/// Threads for libvirt's blocking calls, started as needed up to a limit and then kept.
///
/// A DispatchQueue would not do: its threads are as many as the machine has cores, and one libvirt call can wait half a minute
/// for a domain's job lock.
final class CallPool: Sendable {
    static let shared = CallPool(limit: 32)

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var threads = 0
        var idle = 0
    }

    private let limit: Int
    private let state = Mutex(State())
    private let ready = DispatchSemaphore(value: 0)

    init(limit: Int) {
        self.limit = limit
    }

    /// Runs a job on one of the threads, in order of submission.
    func submit(_ job: @escaping @Sendable () -> Void) {
        let number: Int? = state.withLock { state in
            state.jobs.append(job)
            guard state.jobs.count > state.idle, state.threads < limit else { return nil }
            state.threads += 1
            state.idle += 1
            return state.threads
        }
        if let number {
            let thread = Thread { self.work() }
            thread.name = "libvirt-\(number)"
            thread.start()
        }
        ready.signal()
    }

    /// Runs a blocking call and waits for it without blocking the caller's thread.
    ///
    /// A libvirt call cannot be cancelled: a cancelled task gets its result or error like any other.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        let result: Result<Value, LibvirtError> = await withCheckedContinuation { continuation in
            submit {
                do throws(LibvirtError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func work() {
        while true {
            ready.wait()
            let job = state.withLock { state in
                state.idle -= 1
                return state.jobs.removeFirst()
            }
            job()
            state.withLock { $0.idle += 1 }
        }
    }
}
