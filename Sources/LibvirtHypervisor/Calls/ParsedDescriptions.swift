import Synchronization
import VolumeSwap

/// What configurations say, so that one that has not changed is not parsed again: each swap looks at all domains of the host.
final class ParsedDescriptions: Sendable {
    private let parsed = Mutex<[DescriptionKey: (text: String, description: DomainDescription)]>([:])

    /// How many are kept.
    var count: Int { parsed.withLock { $0.count } }

    /// The description in `text`, which must be without passwords: it is kept.
    func description(of domain: DomainIdentity, _ view: XMLView, _ text: String) throws(SwapFailure) -> DomainDescription {
        let key = DescriptionKey(domain: domain.uuid, view: view)
        if let known = parsed.withLock({ $0[key] }), known.text == text { return known.description }
        let description = try DomainDescription(xml: text)
        parsed.withLock { $0[key] = (text, description) }
        return description
    }

    /// Drops the descriptions of domains that are no longer there.
    func drop(allBut domains: Set<String>) { parsed.withLock { $0 = $0.filter { domains.contains($0.key.domain) } } }
}
