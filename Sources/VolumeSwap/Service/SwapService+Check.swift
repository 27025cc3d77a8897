import Basics
package import JSON
import Synchronization

extension SwapService {
    /// `check_swap`: runs a swap's preflight without changing anything. Waits for no other swap, and at most 45 s or `timeout_s`.
    ///
    /// - Parameter args: the arguments of `swap_volume`. Arguments that a swap would be refused for are a result as well.
    package func check(_ args: JSONObject) async -> SwapCheck {
        let request: SwapRequest
        do throws(SwapFailure) {
            request = try SwapRequest(args: args, defaults: environment.settings.defaults)
        } catch {
            return SwapCheck(disk: try? SwapRequest.disk(mountpoint: args["mountpoint"]), failure: error)
        }
        environment.hooks.willPrepare(request)
        let preflight = SwapPreflight(lookingWith: environment, request: request) { [self] domain in
            // This one would only run after them.
            Set(swaps(of: domain).filter { $0.disk == request.disk }.map(\.id))
        }
        let input = await look(preflight, request)
        let found = preflight.found
        var check = SwapCheck(disk: request.disk, input, found) { [environment] plan in
            environment.budget.speed(
                ofOneMore: environment.budgetVolumes(of: request), limit: plan.options.bandwidthMiBs << 20)
        }
        let domain = found.plan?.domain ?? DomainIdentity(uuid: request.instance.uuid ?? "", name: request.instance.name ?? "")
        if let warning = Self.warning(of: swaps(of: domain), disk: request.disk) { check.warnings.append(warning) }
        return check
    }

    private func look(_ preflight: SwapPreflight, _ request: SwapRequest) async -> SwapInput {
        let timeout = request.options.timeoutS
        let limit = timeout > 0 ? min(.seconds(timeout), environment.settings.answerLimit) : environment.settings.answerLimit
        let input = await environment.clock.within(limit, else: nil) { () async -> SwapInput? in
            await Self.result(of: preflight, request)
        }
        // Made only now: it names what was seen by then.
        return input ?? Self.failed("libvirt, the domain or a path has not answered in time", .timedOut, preflight, request)
    }

    /// A swap repeats its preflight while the hypervisor gives no answer; a check reports that.
    private static func result(of preflight: SwapPreflight, _ request: SwapRequest) async -> SwapInput {
        do {
            return try await preflight.run()
        } catch let failure as SwapFailure {
            return .failed(failure)
        } catch {
            let isPassing = (error as? HypervisorError)?.isPassing ?? false
            return failed("\(error)", isPassing ? .timedOut : .hypervisorRefused, preflight, request)
        }
    }

    private static func failed(
        _ why: String, _ code: ReasonCode, _ preflight: SwapPreflight, _ request: SwapRequest
    ) -> SwapInput {
        var failure = SwapFailure.rebaseFailed("disk \(request.disk): \(why)", code)
        failure.inUse = preflight.volumeInUse
        return .failed(failure)
    }

    // MARK: Other swaps of the domain

    /// An unfinished swap of a domain.
    private struct Other {
        var id: TaskID
        var disk: String?
        /// Whether its turn has come.
        var isRunning: Bool
        /// Whether it is in step and has given up its turn for other disks.
        var isHeld: Bool
    }

    /// The unfinished swaps of a domain, the running one first.
    private func swaps(of domain: DomainIdentity) -> [Other] {
        let uuid = domain.uuid.lowercased()
        let holder = environment.domainLocks.holder(of: uuid)
        let keys = [uuid, InstanceReference.key(ofName: domain.name)]
        let others = active.withLock { active in
            active.compactMap { id, entry -> Other? in
                let (plan, record) = (entry.control.plan, entry.record)
                // Without a record in memory, its place in the queue tells.
                let key = plan?.domain.uuid.lowercased() ?? record?.instanceKey ?? entry.ticket?.key
                let isOfDomain = key.map(keys.contains) ?? false
                guard id == holder || isOfDomain && entry.ticket != nil && !entry.isHandedOut else { return nil }
                return Other(
                    id: id, disk: plan?.disk ?? record?.disk ?? entry.ticket?.disk, isRunning: id == holder,
                    isHeld: entry.control.isHeld)
            }
        }
        return others.sorted { ($0.isRunning ? 0 : 1, $0.id.text) < ($1.isRunning ? 0 : 1, $1.id.text) }
    }

    private static func warning(of others: [Other], disk: String) -> String? {
        let others = others.filter { !$0.isHeld || $0.disk == disk }
        guard let first = others.first else { return nil }
        let what = first.disk == disk ? "a swap of this disk" : "a swap of another disk of this instance"
        let more = others.count > 1 ? ", and \(others.count - 1) more" : ""
        return
            "\(what) \(first.isRunning ? "is under way" : "is waiting") (task \(first.id)\(more)): this one would wait for it, and may "
            + "find something else then"
    }
}
