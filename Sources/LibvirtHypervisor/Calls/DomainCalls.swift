package import Logging
import Synchronization
package import VolumeSwap

/// A domain whose libvirt call does not come back.
package struct HungDomain: Sendable, Hashable {
    package var name: String
    /// libvirt's name of the call.
    package var call: String
    package var since: ContinuousClock.Instant
}

/// Lets one call at a time out for each domain, of those that need QEMU's monitor or the domain's job lock.
///
/// A QEMU that does not answer holds such a call for good, and each further one for the 30 s after which libvirt gives up waiting
/// for the lock. libvirtd has few hands for all domains together, so one call is all that a hung domain gets.
///
/// A call that comes while another is out waits for its turn. Once a call is out for longer than ``Limits/patience`` the domain counts
/// as hung, and until it has answered who else comes is refused at once. A caller waits no longer than it said, or until
/// its task is cancelled; the call itself stays out then, and the turn with it.
package final class DomainCalls: Sendable {
    package struct Limits: Sendable {
        /// How long a call may be out before its domain counts as hung.
        package var patience = Duration.seconds(5)
        /// How long a hang whose last call came back with libvirt's lock time-out is remembered while nobody asks again.
        package var memory = Duration.seconds(60)

        package init() {}
    }

    private struct Call {
        var number: UInt64
        var name: String
        /// nil while it waits for a connection.
        var since: ContinuousClock.Instant?
        var timer: ScheduledAction?
    }

    private struct Waiter {
        var number: UInt64
        var name: String
        var resume: @Sendable (HypervisorError?) -> Void
    }

    private struct Domain {
        var name: String
        var call: Call?
        var waiters: [Waiter] = []
        var hang: HungDomain?
        var forgetting: ScheduledAction?
    }

    private struct State {
        var domains: [String: Domain] = [:]
        var next: UInt64 = 0

        mutating func number() -> UInt64 {
            next += 1
            return next
        }
    }

    private let limits: Limits
    private let clock: any SwapClock
    private let logger: Logger
    private let state = Mutex(State())

    package init(limits: Limits = Limits(), clock: any SwapClock = SystemClock(), logger: Logger) {
        self.limits = limits
        self.clock = clock
        self.logger = logger
    }

    /// The domains that do not answer, longest first.
    package var hungDomains: [HungDomain] {
        state.withLock { state in state.domains.values.compactMap(\.hang) }.sorted { $0.since < $1.since }
    }

    /// How many calls wait for a domain's turn.
    func waiters(_ domain: DomainIdentity) -> Int { state.withLock { $0.domains[domain.uuid]?.waiters.count ?? 0 } }

    /// Makes a call when the domain's turn comes.
    ///
    /// - Parameters:
    ///   - name: libvirt's name of the call.
    ///   - limit: how long the caller waits for the answer.
    ///   - lease: gets what the call is made on; the turn waits for it, and what it throws ends the turn.
    /// - Throws: `busy` when the domain is hung, or the caller gave up; whether the call has an effect is not known then.
    func make<Lease: Sendable, Value: Sendable>(
        _ name: String, on domain: DomainIdentity, within limit: Duration,
        lease: () async throws(HypervisorError) -> Lease,
        _ call: @escaping @Sendable (Lease) async -> Result<Value, HypervisorError>
    ) async throws(HypervisorError) -> Value {
        let number = try await turn(domain, name)
        let leased: Lease
        do {
            leased = try await lease()
        } catch {
            end(domain, number, nil)
            throw error
        }
        begin(domain, number)
        let answer = CallAnswer<Value>(clock: clock)
        return try await answer.wait(
            atMost: limit,
            else: "domain \(domain.name) does not answer: \(name) has been out for \(limit.rounded), its effect is not known",
            ifCancelled: Self.givenUp(name, domain)
        ) {
            // Unstructured on purpose: the call outlives a caller who has given up.
            Task { [self] in
                let result = await call(leased)
                end(domain, number, result.failure)
                answer.resolve(result)
            }
        }
    }

    private static func givenUp(_ name: String, _ domain: DomainIdentity) -> String {
        "\(name) of domain \(domain.name) was given up"
    }
}

extension DomainCalls {
    /// Waits for the domain's turn.
    private func turn(_ domain: DomainIdentity, _ name: String) async throws(HypervisorError) -> UInt64 {
        let number = state.withLock { $0.number() }
        let refusal = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<HypervisorError?, Never>) in
                let decided = state.withLock { state -> HypervisorError?? in
                    if Task.isCancelled { return .some(HypervisorError(.busy, Self.givenUp(name, domain))) }
                    var entry = state.domains[domain.uuid] ?? Domain(name: domain.name)
                    defer { state.domains[domain.uuid] = entry }
                    guard let call = entry.call else {
                        entry.call = Call(number: number, name: name)
                        entry.forgetting?.cancel()
                        entry.forgetting = nil
                        return .some(nil)
                    }
                    if let hang = entry.hang { return .some(refused(hang, call)) }
                    entry.waiters.append(Waiter(number: number, name: name) { continuation.resume(returning: $0) })
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let index = state.domains[domain.uuid]?.waiters.firstIndex { $0.number == number }
                return index.flatMap { state.domains[domain.uuid]?.waiters.remove(at: $0) }
            }
            waiter?.resume(HypervisorError(.busy, Self.givenUp(name, domain)))
        }
        if let refusal { throw refusal }
        return number
    }

    /// The call is out from now on.
    private func begin(_ domain: DomainIdentity, _ number: UInt64) {
        let timer = clock.schedule(after: limits.patience) { [weak self] in self?.hang(domain, number) }
        let now = clock.now
        state.withLock { state in
            state.domains[domain.uuid]?.call?.since = now
            state.domains[domain.uuid]?.call?.timer = timer
        }
    }

    /// The call has been out for too long.
    private func hang(_ domain: DomainIdentity, _ number: UInt64) {
        let (begun, waiters) = state.withLock { state -> (HungDomain?, [@Sendable () -> Void]) in
            guard var entry = state.domains[domain.uuid], let call = entry.call, call.number == number, let since = call.since
            else {
                return (nil, [])
            }
            let isNew = entry.hang == nil
            let hang = entry.hang ?? HungDomain(name: entry.name, call: call.name, since: since)
            entry.hang = hang
            let refusal = refused(hang, call)
            let waiters = entry.waiters.map { waiter -> @Sendable () -> Void in { waiter.resume(refusal) } }
            entry.waiters = []
            state.domains[domain.uuid] = entry
            return (isNew ? hang : nil, waiters)
        }
        if let begun {
            logger.warning(
                "domain \(begun.name) does not answer: \(begun.call) has been out for \(limits.patience.rounded)",
                metadata: ["instance": "\(domain.uuid)"])
        }
        waiters.forEach { $0() }
    }

    /// The call came back, or was not made: the next one's turn.
    private func end(_ domain: DomainIdentity, _ number: UInt64, _ error: HypervisorError?) {
        // libvirt's lock time-out: somebody else's call on the domain hangs.
        let staysHung = error?.code == .busy
        let now = clock.now
        let (over, next) = state.withLock { state -> (HungDomain?, (@Sendable () -> Void)?) in
            guard var entry = state.domains[domain.uuid], let call = entry.call, call.number == number else { return (nil, nil) }
            call.timer?.cancel()
            entry.call = nil
            var over: HungDomain?
            // A turn that ended before a call was made tells nothing.
            if call.since != nil, !staysHung {
                over = entry.hang
                entry.hang = nil
            }
            var next: (@Sendable () -> Void)?
            if !entry.waiters.isEmpty {
                let waiter = entry.waiters.removeFirst()
                entry.call = Call(number: waiter.number, name: waiter.name)
                next = { waiter.resume(nil) }
            }
            if entry.call == nil, entry.hang == nil {
                state.domains[domain.uuid] = nil
            } else {
                if entry.call == nil {
                    entry.forgetting = clock.schedule(after: limits.memory) { [weak self] in self?.forget(domain) }
                }
                state.domains[domain.uuid] = entry
            }
            return (over, next)
        }
        if let over {
            logger.notice(
                "domain \(over.name) answers again, after \((now - over.since).rounded)", metadata: ["instance": "\(domain.uuid)"]
            )
        }
        next?()
    }

    private func forget(_ domain: DomainIdentity) {
        let hang = state.withLock { state -> HungDomain? in
            guard let entry = state.domains[domain.uuid], entry.call == nil else { return nil }
            state.domains[domain.uuid] = nil
            return entry.hang
        }
        guard let hang else { return }
        logger.notice(
            "domain \(hang.name) is not asked any more; it did not answer last", metadata: ["instance": "\(domain.uuid)"])
    }

    private func refused(_ hang: HungDomain, _ call: Call) -> HypervisorError {
        let age = call.since.map { clock.now - $0 } ?? .zero
        return HypervisorError(.busy, "domain \(hang.name) does not answer: \(call.name) has been out for \(age.rounded)")
    }
}

extension Duration {
    /// Whole seconds, for messages.
    var rounded: String { "\(components.seconds) s" }
}

extension Result {
    fileprivate var failure: Failure? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
