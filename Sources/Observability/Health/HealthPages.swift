import FlyingFox
import Foundation

/// Answers the requests of ``HealthServer``.
struct HealthPages: HTTPHandler {
    let checks: [@Sendable () async -> HealthCheck]
    let metrics: @Sendable () -> String

    private static let plain = "text/plain; charset=utf-8"

    func handleRequest(_ request: HTTPRequest) async -> HTTPResponse {
        let page: @Sendable () async -> (HTTPStatusCode, String, String)
        switch request.path {
        case "/livez": page = { (.ok, Self.plain, "ok\n") }
        case "/readyz": page = readiness
        case "/metrics": page = { (.ok, PrometheusRegistry.contentType, metrics()) }
        default: return Self.response(to: request, .notFound, Self.plain, "not found\n")
        }
        guard request.method == .GET || request.method == .HEAD else {
            var response = Self.response(to: request, .methodNotAllowed, Self.plain, "only GET and HEAD\n")
            response.headers[HTTPHeader("Allow")] = "GET, HEAD"
            return response
        }
        let (status, type, body) = await page()
        return Self.response(to: request, status, type, body)
    }

    /// One line for each check that does not hold, `ok` when there is none; then one for each that holds and has something to tell.
    private func readiness() async -> (HTTPStatusCode, String, String) {
        var failing = ""
        var holding = ""
        for check in checks {
            let check = await check()
            let line = LogText.escapingControls(check.detail.isEmpty ? check.name : "\(check.name): \(check.detail)") + "\n"
            if !check.isOK {
                failing += line
            } else if !check.detail.isEmpty {
                holding += line
            }
        }
        return failing.isEmpty ? (.ok, Self.plain, "ok\n" + holding) : (.serviceUnavailable, Self.plain, failing + holding)
    }

    private static func response(
        to request: HTTPRequest, _ status: HTTPStatusCode, _ type: String, _ text: String
    ) -> HTTPResponse {
        let body = Data(text.utf8)
        let headers: HTTPHeaders = [
            .contentType: type,
            .contentLength: String(body.count),
            HTTPHeader("Cache-Control"): "no-store",
        ]
        return HTTPResponse(statusCode: status, headers: headers, body: request.method == .HEAD ? Data() : body)
    }
}
