import Libvirt
package import VolumeSwap

/// Configurations, also those of domains that hang.
///
/// libvirt 11 takes the domain's job lock for `virDomainGetXMLDesc`, and gives the configuration of a domain that hangs only when it has
/// waited for 30 s. So libvirt is first asked what occupies the domain, and the call waits for its turn on it; if either lasts, it goes
/// over ``LibvirtLink/configurations``, where it holds up nothing else.
extension LibvirtHypervisor {
    /// `virDomainGetXMLDesc`
    package func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        if let text = try await xmlIfFree(domain, view, secure: true) { return text }
        return try await asking(domain, "getXMLDesc", over: route(singleReads)) { (domain) throws(LibvirtError) in
            try await domain.xml(inactive: view == .inactive, secure: true)
        }
    }

    /// A domain's configuration without its passwords; nil if it may take long.
    func describeIfFree(_ domain: DomainIdentity, _ view: XMLView) async throws -> DomainDescription? {
        try await xmlIfFree(domain, view).map { (text) throws(SwapFailure) in try parsed.description(of: domain, view, text) }
    }

    /// A domain's configuration without its passwords: what was read during the same hang, or else what libvirt says once it does.
    func describeOccupied(_ domain: DomainIdentity, _ view: XMLView) async throws -> DomainDescription {
        let control = try await control(domain)
        if let known = kept.description(of: domain, view, control, now: clock.now) { return known }
        let events = try await read("events") { (connection) throws(LibvirtError) in
            connection.events(domainUUID: domain.uuid, limit: 1)
        }
        let (kept, clock) = (kept, clock)
        let answer = try await asking(domain, "getXMLDesc", over: route(view == .live ? liveReads : storedReads)) {
            (handle) async throws(LibvirtError) -> Result<DomainDescription, SwapFailure> in
            // Whoever had the turn before may have read it.
            let control = try await handle.control()
            if let known = kept.description(of: domain, view, control, now: clock.now) { return .success(known) }
            let askedAt = clock.now
            let text = try await handle.xml(inactive: view == .inactive)
            return Result { () throws(SwapFailure) in
                let description = try DomainDescription(xml: text)
                kept.keep(description, of: domain, view, askedAt: askedAt, events: events)
                return description
            }
        }
        return try answer.get()
    }

    private func xmlIfFree(
        _ domain: DomainIdentity, _ view: XMLView, secure: Bool = false
    ) async throws(HypervisorError) -> String? {
        // Whoever waits for its turn may wait for a call that hangs.
        if !calls.isFree(domain), try await control(domain).mayTakeLong { return nil }
        let route = CallRoute(calls: calls, connections: link.calls, patience: Self.patienceIfFree)
        do throws(HypervisorError) {
            return try await asking(domain, "getXMLDesc", over: route) { (domain) throws(LibvirtError) in
                try await domain.xmlIfFree(inactive: view == .inactive, secure: secure)
            }
        } catch {
            guard error.code == .busy, !Task.isCancelled else { throw error }
            return nil
        }
    }

    private func control(_ domain: DomainIdentity) async throws(HypervisorError) -> LibvirtDomainControl {
        try await reading(domain, "getControlInfo") { (domain) throws(LibvirtError) in try await domain.control() }
    }

    private func route(_ calls: DomainCalls) -> CallRoute {
        CallRoute(calls: calls, connections: link.configurations, patience: Self.configurationPatience)
    }

    /// How long a configuration waits for a connection if all calls that may hang are out; there are others for it.
    private static let patienceIfFree = Duration.milliseconds(500)
    /// How long a configuration may wait for others that libvirt gives after 30 s.
    private static let configurationPatience = Duration.seconds(120)
}
