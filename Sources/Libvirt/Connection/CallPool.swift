import Basics
import Dispatch
import Foundation
import Synchronization

/// Threads for a connection's blocking calls, started as needed up to a limit and kept until the pool is stopped.
///
/// A DispatchQueue would not do: it has as many threads as the machine has cores, and a libvirt call can wait half a minute for a
/// domain's job lock.
final class CallPool: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var threads = 0
        var idle = 0
        var stopped = false
    }

    private let limit: Int
    private let state = Mutex(State())
    private let ready = DispatchSemaphore(value: 0)

    init(limit: Int = 32) {
        self.limit = limit
    }

    /// Runs a job on one of the threads, in order of submission, even after `stop()`.
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

    /// Ends each thread as soon as it is idle.
    func stop() {
        let idle = state.withLock { state in
            state.stopped = true
            return state.idle
        }
        for _ in 0..<idle { ready.signal() }
    }

    /// Runs a blocking call and waits for it without blocking the caller's thread.
    ///
    /// A libvirt call cannot be cancelled, so a cancelled task still gets its result or error.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        let result = Waiter<Result<Value, LibvirtError>>()
        submit { result.resume(Result(catching: body)) }
        return try await result.value().get()
    }

    private func work() {
        while true {
            ready.wait()
            let job = state.withLock { state -> (@Sendable () -> Void)? in
                state.idle -= 1
                guard state.jobs.isEmpty else { return state.jobs.removeFirst() }
                state.threads -= 1
                return nil
            }
            guard let job else { return }
            job()
            let done = state.withLock { state in
                guard state.stopped, state.jobs.isEmpty else {
                    state.idle += 1
                    return false
                }
                state.threads -= 1
                return true
            }
            if done { return }
        }
    }
}
