import Libvirt
import Synchronization
import VolumeSwap

/// Descriptions of domains that hang, which libvirt may give only after half a minute.
///
/// One holds for as long as the same command to QEMU stays unanswered: the command holds the domain's job lock, so nobody changes the
/// disks. The stored configuration can be replaced meanwhile, which libvirt reports as an event.
final class KeptDescriptions: Sendable {
    private struct Kept {
        let description: DomainDescription
        let askedAt: ContinuousClock.Instant
        let events: LibvirtEvents
    }

    private let kept = Mutex<[DescriptionKey: Kept]>([:])

    /// - Parameters:
    ///   - askedAt: when libvirt was asked for it.
    ///   - events: the domain's events, subscribed to before that.
    func keep(
        _ description: DomainDescription, of domain: DomainIdentity, _ view: XMLView, askedAt: ContinuousClock.Instant,
        events: LibvirtEvents
    ) {
        let new = Kept(description: description, askedAt: askedAt, events: events)
        kept.withLock { $0[DescriptionKey(domain: domain.uuid, view: view)] = new }
    }

    /// Drops all but the descriptions of domains that still may take long to answer.
    func drop(allBut domains: Set<String>) { kept.withLock { $0 = $0.filter { domains.contains($0.key.domain) } } }

    /// The description if it still holds; else it is dropped.
    ///
    /// - Parameters:
    ///   - control: what libvirt has just said about the domain.
    ///   - now: a time after that.
    func description(
        of domain: DomainIdentity, _ view: XMLView, _ control: LibvirtDomainControl, now: ContinuousClock.Instant
    ) -> DomainDescription? {
        let key = DescriptionKey(domain: domain.uuid, view: view)
        return kept.withLock { kept in
            guard let entry = kept[key] else { return nil }
            if case .occupied(let command?) = control, now - command <= entry.askedAt, entry.events.isSilent {
                return entry.description
            }
            kept[key] = nil
            return nil
        }
    }
}

/// One of the configurations of a domain.
struct DescriptionKey: Hashable {
    /// The domain's UUID.
    let domain: String
    let view: XMLView
}
