import Basics
package import Logging
import Synchronization
package import VolumeSwap

/// A domain whose libvirt call does not return.
package struct HungDomain: Sendable, Hashable {
    /// The domain's name.
    package var name: String
    /// The name of the libvirt call.
    package var call: String
    /// When the first of its calls that did not return was made.
    package var since: ContinuousClock.Instant
}

/// Serialises, per domain, the calls that need QEMU's monitor or the domain's job lock.
///
/// A QEMU that does not respond blocks such a call forever, and each further one for the 30 s that libvirt waits for the lock.
/// libvirtd has few workers for all domains together, so a hung domain gets only one call.
///
/// A call waits for its turn while another is outstanding. Once a call has been outstanding for longer than ``Limits/patience``,
/// the domain counts as hung until it has answered, and further calls are refused at once while that one is out. A caller waits no
/// longer than it asked for, or until its task is cancelled; the call itself then stays outstanding and keeps the turn.
package final class DomainCalls: Sendable {
    /// Time limits of calls and hangs.
    package struct Limits: Sendable {
        /// How long a call may be outstanding before its domain counts as hung.
        package var patience = Duration.seconds(5)
        /// How long a hang whose last call returned without an answer is remembered if no further call is made: with libvirt's lock
        /// time-out, or because the connection was lost.
        package var memory = Duration.seconds(60)

        package init() {}
    }

    private struct Call {
        var name: String
        /// Resumed with nil when it is the call's turn, with an error if there will be none.
        let turn = Waiter<HypervisorError?>()
        /// nil while it waits for a connection.
        var since: ContinuousClock.Instant?
        var timer: ScheduledAction?
    }

    private struct Domain {
        var name: String
        var call: Call?
        var waiting: [Call] = []
        var hang: HungDomain?
        var forgetting: ScheduledAction?
    }

    private let limits: Limits
    private let clock: any SwapClock
    private let logger: Logger
    private let domains = Mutex<[String: Domain]>([:])

    package init(limits: Limits = Limits(), clock: any SwapClock = SystemClock(), logger: Logger) {
        self.limits = limits
        self.clock = clock
        self.logger = logger
    }

    /// The domains that do not respond, longest first.
    package var hungDomains: [HungDomain] {
        domains.withLock { $0.values.compactMap(\.hang) }.sorted { $0.since < $1.since }
    }

    /// Whether a call on the domain would have its turn at once.
    func isFree(_ domain: DomainIdentity) -> Bool { domains.withLock { $0[domain.uuid]?.call == nil } }

    /// How many calls wait for their turn on a domain.
    func waiters(_ domain: DomainIdentity) -> Int { domains.withLock { $0[domain.uuid]?.waiting.count ?? 0 } }

    /// Makes a call when its turn on the domain has come.
    ///
    /// - Parameters:
    ///   - name: The name of the libvirt call.
    ///   - limit: How long the caller waits for the answer.
    ///   - lease: Gets the connection for the call; the turn waits for it, and ends if it throws.
    /// - Throws: `busy` if the domain is hung or the caller gave up; it is then unknown whether the call takes effect.
    func make<Lease: Sendable, Value: Sendable>(
        _ name: String, on domain: DomainIdentity, within limit: Duration,
        lease: () async throws(HypervisorError) -> Lease,
        _ call: @escaping @Sendable (Lease) async -> Result<Value, HypervisorError>
    ) async throws(HypervisorError) -> Value {
        let turn = try await turn(domain, name)
        let leased: Lease
        do {
            leased = try await lease()
        } catch {
            end(domain, turn, nil)
            throw error
        }
        begin(domain, turn)
        let answer = CallAnswer<Value>()
        return try await answer.wait(
            atMost: limit, clock,
            else: "domain \(domain.name) does not answer: \(name) has been out for \(limit.rounded), its effect is not known",
            ifCancelled: Self.givenUp(name, domain)
        ) {
            // Unstructured on purpose: the call outlives a caller that has given up.
            Task { [self] in
                let result = await call(leased)
                end(domain, turn, result.failure)
                answer.resume(result)
            }
        }
    }

    private static func givenUp(_ name: String, _ domain: DomainIdentity) -> String {
        "\(name) of domain \(domain.name) was given up"
    }
}

extension DomainCalls {
    private typealias Turn = Waiter<HypervisorError?>

    /// Waits for the call's turn.
    private func turn(_ domain: DomainIdentity, _ name: String) async throws(HypervisorError) -> Turn {
        let givenUp = HypervisorError(.busy, Self.givenUp(name, domain))
        if Task.isCancelled { throw givenUp }
        let new = Call(name: name)
        domains.withLock { domains in
            var entry = domains[domain.uuid] ?? Domain(name: domain.name)
            if let call = entry.call {
                if let hang = entry.hang, let since = call.since, clock.now - since >= limits.patience {
                    new.turn.resume(refused(hang, call))
                } else {
                    entry.waiting.append(new)
                }
            } else {
                new.turn.resume(nil)
                entry.call = new
                entry.forgetting?.cancel()
                entry.forgetting = nil
            }
            domains[domain.uuid] = entry
        }
        if let refusal = await new.turn.value(ifCancelled: givenUp) { throw refusal }
        return new.turn
    }

    /// Records that the call is outstanding from now on.
    private func begin(_ domain: DomainIdentity, _ turn: Turn) {
        let timer = clock.schedule(after: limits.patience) { [weak self] in self?.hang(domain, turn) }
        let now = clock.now
        domains.withLock { domains in
            domains[domain.uuid]?.call?.since = now
            domains[domain.uuid]?.call?.timer = timer
        }
    }

    /// Marks the domain as hung: the call has been outstanding for too long.
    private func hang(_ domain: DomainIdentity, _ turn: Turn) {
        let begun = domains.withLock { domains -> HungDomain? in
            guard var entry = domains[domain.uuid], let call = entry.call, call.turn === turn, let since = call.since else {
                return nil
            }
            let isNew = entry.hang == nil
            let hang = entry.hang ?? HungDomain(name: entry.name, call: call.name, since: since)
            for waiting in entry.waiting { waiting.turn.resume(refused(hang, call)) }
            entry.hang = hang
            entry.waiting = []
            domains[domain.uuid] = entry
            return isNew ? hang : nil
        }
        guard let begun else { return }
        logger.warning(
            "domain \(begun.name) does not answer: \(begun.call) has been out for \(limits.patience.rounded)",
            metadata: ["instance": "\(domain.uuid)"])
    }

    /// Passes the turn on: the call returned, or was not made.
    private func end(_ domain: DomainIdentity, _ turn: Turn, _ error: HypervisorError?) {
        // libvirt's lock time-out means that somebody else's call on the domain hangs; a lost connection says nothing about it.
        let staysHung = error?.isPassing ?? false
        let over = domains.withLock { domains -> HungDomain? in
            guard var entry = domains[domain.uuid], let call = entry.call, call.turn === turn else { return nil }
            call.timer?.cancel()
            var over: HungDomain?
            // A turn that ended before a call was made proves nothing.
            if call.since != nil, !staysHung {
                over = entry.hang
                entry.hang = nil
            }
            // Skips those that have given up.
            let next = entry.waiting.firstIndex { $0.turn.resume(nil) }
            entry.call = next.map { entry.waiting[$0] }
            entry.waiting.removeFirst(next.map { $0 + 1 } ?? entry.waiting.count)
            if entry.call == nil, entry.hang != nil {
                entry.forgetting = clock.schedule(after: limits.memory) { [weak self] in self?.forget(domain) }
            }
            domains[domain.uuid] = entry.call == nil && entry.hang == nil ? nil : entry
            return over
        }
        guard let over else { return }
        logger.notice(
            "domain \(over.name) answers again, after \((clock.now - over.since).rounded)",
            metadata: ["instance": "\(domain.uuid)"])
    }

    private func forget(_ domain: DomainIdentity) {
        let hang = domains.withLock { domains -> HungDomain? in
            guard let entry = domains[domain.uuid], entry.call == nil else { return nil }
            domains[domain.uuid] = nil
            return entry.hang
        }
        guard let hang else { return }
        logger.notice(
            "domain \(hang.name) is no longer queried; it did not answer last time", metadata: ["instance": "\(domain.uuid)"])
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
