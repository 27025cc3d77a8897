/// Carries what was plugged into a running domain, or unplugged from it, over to its saved definition.
///
/// Devices that only one of the two had before are left alone, as are those that were there before and still are.
package struct DeviceTransfer {
    /// The kinds of devices to carry over; nil for all.
    package struct Kinds: Sendable {
        private static let main: Set<String> = ["disk", "interface"]
        static let all = Kinds(attached: nil, detached: nil)
        static let disksAndInterfaces = Kinds(attached: main, detached: main)
        static let detachedDisksAndInterfaces = Kinds(attached: [], detached: main)
        /// What earlier versions recorded.
        fileprivate static let recordedBefore = disksAndInterfaces

        fileprivate var attached, detached: Set<String>?

        fileprivate func intersection(_ other: Kinds) -> Kinds {
            Kinds(attached: Self.both(attached, other.attached), detached: Self.both(detached, other.detached))
        }

        private static func both(_ one: Set<String>?, _ other: Set<String>?) -> Set<String>? {
            if let one, let other { one.intersection(other) } else { one ?? other }
        }
    }

    /// Says in ``DomainXML/devices(_:)`` that every kind is listed; earlier versions listed only disks and interfaces.
    static let allKinds = "every kind"

    private let stored: DomainDocument
    private let live: DomainDocument
    private let known: Set<String>
    private let kinds: Kinds
    /// What is different from the saved definition.
    var changes: [String] = []
    /// What is not carried over.
    private(set) var warnings: [String] = []

    /// - Parameters:
    ///   - stored: the saved definition, which is edited.
    ///   - known: what ``DomainXML/devices(_:)`` said of the running domain when it lost its definition.
    init(stored: DomainDocument, live: DomainDocument, known: [String], kinds: Kinds) {
        (self.stored, self.live, self.known) = (stored, live, Set(known))
        self.kinds = self.known.contains(Self.allKinds) ? kinds : kinds.intersection(.recordedBefore)
    }

    mutating func run() {
        let (saved, running) = (stored.namedDevices, live.namedDevices)
        removeDetached(saved, Set(running.map(\.name)))
        addAttached(running, Set(saved.map(\.name)))
        guard kinds.attached == nil else { return }
        compareVCPUs()
        compareMemory()
        compareOthers()
    }

    /// - Parameter present: the names of the devices that run.
    private mutating func removeDetached(_ saved: [(name: String, element: EditableElement)], _ present: Set<String>) {
        for name in known.subtracting(present).sorted() {
            guard let kind = XMLTree.kind(ofDevice: name), kinds.detached?.contains(kind) ?? true else { continue }
            let matches = saved.filter { $0.name == name }
            if matches.count == 1, let element = matches.first?.element {
                stored.devices?.remove { $0 === element }
                stored.count(element, isAdded: false)
                changes.append("detached \(name)")
            } else if !matches.isEmpty || mayBeSavedOtherwise(kind, saved, present) {
                warnings.append("\(name) was detached from the running domain, and may still be in its stored configuration")
            }
        }
    }

    /// Whether the saved definition has a device of the kind that is none of those that ran, by their names.
    private func mayBeSavedOtherwise(
        _ kind: String, _ saved: [(name: String, element: EditableElement)], _ present: Set<String>
    ) -> Bool {
        guard !XMLTree.surelyNamedKinds.contains(kind) else { return false }
        return saved.contains { $0.element.name == kind && !known.contains($0.name) && !present.contains($0.name) }
    }

    /// - Parameter saved: the names of the devices in the definition as it was saved.
    private mutating func addAttached(_ running: [(name: String, element: EditableElement)], _ saved: Set<String>) {
        for (name, element) in running where !known.contains(name) && !saved.contains(name) {
            guard kinds.attached?.contains(element.name) ?? true else { continue }
            stored.plug(element)
            stored.count(element, isAdded: true)
            changes.append("attached \(name)")
        }
    }

    /// Takes over a number of processors that was the same in both configurations before.
    private mutating func compareVCPUs() {
        guard let before = recorded("vcpus "), let now = live.vcpus, now != before, now != stored.vcpus else { return }
        if stored.vcpus == before, stored.takeVCPUs(from: live) {
            changes.append("changed vcpus to \(now)")
        } else {
            warnings.append("the running domain's vcpus went from \(before) to \(now), but not those of its stored configuration")
        }
    }

    /// Warns of a balloon that was set: its size also varies while a guest boots, so it is not stored.
    private mutating func compareMemory() {
        guard let memory = recorded("size of memory ").flatMap({ Int64($0) }), let nowMemory = live.memory,
            let current = recorded("size of currentMemory ").flatMap({ Int64($0) }), let now = live.currentMemory,
            // Memory devices count in both.
            now != current, nowMemory - now != memory - current, now != stored.currentMemory
        else { return }
        warnings.append(
            "the running domain's currentMemory went from \(current) to \(now) KiB, but not that of its stored configuration")
    }

    private mutating func compareOthers() {
        let now = live.otherDevices
        for kind in Set(now.keys).union(recordedKinds).sorted() {
            let (before, after) = (recorded("number of \(kind) ").flatMap { Int($0) } ?? 0, now[kind] ?? 0)
            guard before != after else { continue }
            warnings.append(
                "the running domain's \(kind) devices went from \(before) to \(after), but not those of its stored configuration")
        }
    }

    private var recordedKinds: [String] {
        known.compactMap { entry in
            let words = entry.split(separator: " ")
            return words.starts(with: ["number", "of"]) && words.count == 4 ? String(words[2]) : nil
        }
    }

    private func recorded(_ prefix: String) -> String? {
        known.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }
}
