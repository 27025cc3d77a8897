import Foundation
import Journal
import Observability
import Settings

extension Doctor {
    private static let patience = Duration.seconds(5)

    /// Checks the journal and the health pages: a running worker's, or free for a new one.
    func worker() async -> [Finding] {
        let (state, findings) = journal()
        if case .inUse(by: let owner)? = state { return await running("process \(owner ?? "of unknown id")") }
        return await findings + [pages()]
    }

    private func running(_ process: String) async -> [Finding] {
        let inUse = Finding.ok("journal", "\(process) has it open")
        guard let address = configuration.daemon.httpAddress else {
            let unknown = "\(process) is running; without http_address it cannot be asked for its readiness"
            return [inUse, .warning("worker", unknown, remedy: "set http_address")]
        }
        do throws(HealthServer.Failure) {
            return [inUse, Self.readiness(try await HealthClient.get("/readyz", of: address, patience: Self.patience), process)]
        } catch {
            return [
                .failure(
                    "journal", "\(process) has it open and cannot be asked for its readiness: \(error)",
                    remedy:
                        "check http_address and the worker's log; a process that is not a worker must exit before one can start")
            ]
        }
    }

    /// - Parameter page: The worker's /readyz.
    static func readiness(_ page: HealthClient.Page, _ process: String) -> Finding {
        let lines = page.body.split(whereSeparator: \.isNewline).map(String.init)
        switch page.status {
        case 200 where lines.first == "ok":
            let notes = lines.dropFirst()
            return .ok("worker", (["\(process) is ready"] + notes).joined(separator: "; "))
        case 503:
            return .failure(
                "worker", "\(process) is not ready: \(lines.joined(separator: "; "))",
                remedy: "fix what it names; its log has more")
        default:
            return .failure(
                "worker", "\(process) has the journal, but what answers at http_address is not pivotd (\(page.status))",
                remedy: "set http_address to the worker's")
        }
    }

    /// Whether a starting worker could serve its health pages. It would run without them, but unmonitored.
    private func pages() async -> Finding {
        let name = "http_address"
        guard let address = configuration.daemon.httpAddress else { return .ok(name, "empty: no health pages") }
        guard let problem = address.listenProblem() else { return .ok(name, "\(address) is free") }
        let page = try? await HealthClient.get("/readyz", of: address, patience: Self.patience)
        if let line = page?.body.split(whereSeparator: \.isNewline).first, page?.status == 503, line.hasPrefix("start: ") {
            let waiting = "a worker that has not opened its journal yet is at \(address): \(line)"
            return .failure("worker", waiting, remedy: "fix what it waits for; its log has more")
        }
        return .failure(
            name, "\(address): \(problem)",
            remedy: "set http_address to a free port of this machine; ss -ltnp shows which process uses a port")
    }
}
