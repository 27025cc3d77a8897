/// The response to a request.
struct HealthPage: Sendable {
    var status: Int
    var type = "text/plain; charset=utf-8"
    var body: String
    /// The allowed methods, for a request with another one.
    var allow: String?
    var isHeadOnly = false
    /// The Content-Security-Policy of a page for browsers.
    var policy: String?

    static let tooLarge = HealthPage(status: 431, body: "request header fields too large\n")
    static let notFound = HealthPage(status: 404, body: "not found\n")
    static let malformed = HealthPage(status: 400, body: "not an HTTP request\n")
}

/// The page at `/`, for a browser.
package struct HomePage: Sendable {
    /// The HTML document.
    package let html: String
    /// Its Content-Security-Policy.
    package let policy: String

    package init(html: String, policy: String) {
        self.html = html
        self.policy = policy
    }
}

/// The pages of ``HealthServer``.
struct HealthPages: Sendable {
    let isAlive: @Sendable () -> [HealthCheck]
    let checks: @Sendable () -> [HealthCheck]
    let metrics: @Sendable () -> String
    var home: (@Sendable () -> HomePage)?

    func page(method: String, uri: String) -> HealthPage {
        var page: HealthPage
        switch uri.prefix(while: { $0 != "?" && $0 != "#" }) {
        case "/livez" where Self.isRead(method): page = Self.page(isAlive())
        case "/readyz" where Self.isRead(method): page = Self.page(checks())
        case "/metrics" where Self.isRead(method):
            page = HealthPage(status: 200, type: PrometheusRegistry.contentType, body: metrics())
        case "/" where Self.isRead(method): page = home.map { Self.page($0()) } ?? .notFound
        case "/", "/livez", "/readyz", "/metrics":
            page = HealthPage(status: 405, body: "only GET and HEAD\n", allow: "GET, HEAD")
        default: page = .notFound
        }
        page.isHeadOnly = method == "HEAD"
        return page
    }

    private static func page(_ home: HomePage) -> HealthPage {
        HealthPage(status: 200, type: "text/html; charset=utf-8", body: home.html, policy: home.policy)
    }

    private static func isRead(_ method: String) -> Bool { method == "GET" || method == "HEAD" }

    /// One line per failed check, or `ok` if there is none; then one per passed check with a detail.
    private static func page(_ checks: [HealthCheck]) -> HealthPage {
        var failing = ""
        var holding = ""
        for check in checks {
            let line = LogText.escapingControls(check.detail.isEmpty ? check.name : "\(check.name): \(check.detail)") + "\n"
            if !check.isOK {
                failing += line
            } else if !check.detail.isEmpty {
                holding += line
            }
        }
        return HealthPage(status: failing.isEmpty ? 200 : 503, body: failing.isEmpty ? "ok\n" + holding : failing + holding)
    }
}
