import Basics
import Foundation
import VolumeSwap

/// One swap on the status page.
struct SwapCard {
    /// Maximum number of characters shown of a string that a client or a hypervisor chose.
    private static let textLimit = 300

    let swap: SwapGlance
    let now: Date

    var html: HTML {
        var parts: [HTML] = [
            .tag(
                "h3", [],
                [
                    .tag("span", [("class", "badge \(tone)")], text: swap.state),
                    .text(" \(Self.cut(swap.disk)) of \(Self.cut(swap.instance))"),
                ])
        ]
        if let fraction { parts.append(Self.bar(fraction)) }
        parts.append(.tag("p", [("class", "facts")], text: facts.joined(separator: " · ")))
        if let remark { parts.append(.tag("p", [("class", "remark")], text: Self.cut(remark))) }
        parts.append(.tag("p", [("class", "ids")], text: ids))
        return .tag("li", [], parts)
    }

    private var tone: String {
        switch swap.state {
        case "completed": "good"
        case "failed": "bad"
        case "aborted": "warn"
        default: "plain"
        }
    }

    private static func bar(_ fraction: Double) -> HTML {
        let percent = "\(Int(fraction * 100))"
        return .tag("progress", [("max", "100"), ("value", percent), ("aria-label", "copied")], text: "\(percent) %")
    }

    /// The copied fraction, from 0 to 1; nil before a copy has begun, and once it is over.
    private var fraction: Double? {
        swap.isFinal ? nil : swap.progress.fraction
    }

    private var facts: [String] {
        var facts: [String] = []
        let progress = swap.progress
        if let fraction {
            facts.append("\(Int(fraction * 100)) %")
            facts.append("\(Quantity.bytes(progress.copiedBytes)) of \(Quantity.bytes(progress.totalBytes))")
            if let rate = progress.rate { facts.append("\(Quantity.bytes(Int64(rate)))/s") }
            facts.append(progress.limit.map { "limit \(Quantity.bytes($0))/s" } ?? "no limit")
            if let left = progress.eta { facts.append("\(Quantity.short(left)) left") }
        } else if swap.isFinal, progress.copiedBytes > 0 {
            facts.append("\(Quantity.bytes(progress.copiedBytes)) copied")
        }
        if let time { facts.append(time) }
        return facts
    }

    private var time: String? {
        if let end = swap.finishedAt {
            let ago = "\(Quantity.short(max(0, now.timeIntervalSince(end)))) ago"
            return swap.startedAt.map { "took \(Quantity.short(max(0, end.timeIntervalSince($0)))), \(ago)" } ?? ago
        }
        // Unknown of a task whose request is in the journal alone.
        guard swap.acceptedAt > .distantPast else { return nil }
        return "accepted \(Quantity.short(max(0, now.timeIntervalSince(swap.acceptedAt)))) ago"
    }

    private var remark: String? {
        if let failure = swap.failure {
            switch swap.inUse {
            case .old: return "\(failure) (the guest runs on the old volume)"
            case .new: return "\(failure) (the guest runs on the new volume)"
            default: return failure
            }
        }
        return swap.waitsFor.map { "waits for \($0)" } ?? swap.detail
    }

    private var ids: String {
        let volumes = [swap.oldVolumeID, swap.newVolumeID].map { $0.map(Self.cut) ?? "?" }.joined(separator: " → ")
        return "task \(Self.cut(swap.id.text)) · volume \(volumes)"
    }

    private static func cut(_ text: String) -> String { text.cut(to: textLimit) }
}
