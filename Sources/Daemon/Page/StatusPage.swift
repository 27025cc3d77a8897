import Basics
import Foundation
import Observability
import VolumeSwap

/// The page at `/`: whether the worker is ready, and its running, waiting and recent swaps. It has no script and no other file.
struct StatusPage: Sendable {
    /// Seconds after which a browser loads it again.
    private static let refresh = 5
    /// Nothing is loaded, sent or framed; one style sheet is allowed, by its hash.
    static let policy = """
        default-src 'none'; style-src 'sha256-\(StatusPageStyle.hash)'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'
        """

    let host: String
    let checks: [HealthCheck]
    /// nil before the worker has started.
    let overview: ServiceOverview?
    let now: Date

    init(_ health: WorkerHealth, host: String) {
        self.init(host: host, checks: health.readiness, overview: health.overview, now: .now)
    }

    init(host: String, checks: [HealthCheck], overview: ServiceOverview?, now: Date) {
        self.host = host
        self.checks = checks
        self.overview = overview
        self.now = now
    }

    var page: HomePage { HomePage(html: html, policy: Self.policy) }

    var html: String {
        let head: HTML = .tag(
            "head", [],
            [
                .tag("meta", [("charset", "utf-8")], []),
                .tag("meta", [("name", "viewport"), ("content", "width=device-width, initial-scale=1")], []),
                .tag("meta", [("http-equiv", "refresh"), ("content", "\(Self.refresh)")], []),
                .tag("meta", [("name", "color-scheme"), ("content", "light dark")], []),
                .tag("title", text: "pivotd on \(host)"), .style(StatusPageStyle.rules),
            ])
        let body: HTML = .tag("body", [], [header, .tag("main", [], [health] + lists), footer])
        return "<!DOCTYPE html>\n" + HTML.tag("html", [("lang", "en")], [head, body]).rendered + "\n"
    }

    private var isReady: Bool { checks.allSatisfy(\.isOK) }

    private var header: HTML {
        let state: HTML = .tag("span", [("class", isReady ? "badge good" : "badge bad")], text: isReady ? "ready" : "not ready")
        let pause: [HTML] = overview?.isPaused == true ? [.tag("span", [("class", "badge warn")], text: "paused")] : []
        return .tag("header", [], [.tag("h1", text: "pivotd on \(host)"), .tag("p", [("class", "badges")], [state] + pause)])
    }

    /// Each failing check, and what an operator should know although a check passed.
    private var health: HTML {
        let shown = checks.filter { !$0.isOK || !$0.detail.isEmpty }
        var parts: [HTML] = []
        if !shown.isEmpty {
            let items = shown.map { check -> HTML in
                let text = check.detail.isEmpty ? check.name : "\(check.name): \(check.detail)"
                return .tag("li", [("class", check.isOK ? "note" : "trouble")], text: text)
            }
            parts.append(.tag("ul", [("class", "checks")], items))
        }
        if let overview { parts.append(.tag("p", [("class", "counts")], text: Self.counts(overview))) }
        return .tag("section", [("aria-label", "Health")], parts)
    }

    private static func counts(_ overview: ServiceOverview) -> String {
        var counts = ["\(overview.running) of at most \(overview.runningLimit) running", "\(overview.queued) waiting"]
        if overview.held > 0 { counts.append("\(overview.held) held") }
        counts.append(
            overview.bandwidth.map { "all copies at most \(Quantity.bytes($0))/s" } ?? "no limit for all copies together")
        return counts.joined(separator: " · ")
    }

    private var lists: [HTML] {
        guard let overview else { return [] }
        let more = overview.queued - overview.waiting.count
        return [
            list("Running", overview.underWay, "Nothing runs."),
            list("Waiting", overview.waiting, nil, more: more > 0 ? "and \(more) more" : nil),
            list("Recent", overview.recent, "Nothing has ended yet."),
        ].compactMap(\.self)
    }

    /// - Parameter empty: What to say if there are none; nil to leave the list out.
    private func list(_ title: String, _ swaps: [SwapGlance], _ empty: String?, more: String? = nil) -> HTML? {
        if swaps.isEmpty, empty == nil, more == nil { return nil }
        var parts: [HTML] = [.tag("h2", text: title)]
        if !swaps.isEmpty { parts.append(.tag("ul", [("class", "swaps")], swaps.map { SwapCard(swap: $0, now: now).html })) }
        if swaps.isEmpty, let empty { parts.append(.tag("p", [("class", "quiet")], text: empty)) }
        if let more { parts.append(.tag("p", [("class", "quiet")], text: more)) }
        return .tag("section", [], parts)
    }

    private var footer: HTML {
        let links: [HTML] = ["/metrics", "/readyz", "/livez"].map { .tag("a", [("href", $0)], text: $0) }
        let about = "pivotd \(pivotdVersion) · \(Timestamp.text(now, .milliseconds).prefix(19).replacing("T", with: " ")) UTC"
        return .tag("footer", [], [.tag("nav", [], links), .tag("p", text: about)])
    }
}
