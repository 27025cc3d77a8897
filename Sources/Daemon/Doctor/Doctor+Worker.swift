import Foundation
import Journal
import Observability
import Settings

extension Doctor {
    private static let patience = Duration.seconds(5)

    /// The journal and the health pages: a running worker's, or free for one.
    func worker() async -> [Finding] {
        let (state, findings) = journal()
        if case .inUse(by: let owner)? = state { return await running("process \(owner ?? "of unknown id")") }
        return await findings + [pages()]
    }

    private func running(_ process: String) async -> [Finding] {
        let inUse = Finding.ok("journal", "\(process) has it open")
        guard let address = configuration.daemon.httpAddress else {
            let unknown = "\(process) runs; without http_address it cannot be asked for its readiness"
            return [inUse, .warning("worker", unknown, remedy: "set http_address")]
        }
        do throws(HealthServer.Failure) {
            return [inUse, Self.readiness(try await HealthClient.get("/readyz", of: address, patience: Self.patience), process)]
        } catch {
            return [
                .failure(
                    "journal", "\(process) has it open and cannot be asked for its readiness: \(error)",
                    remedy: "is http_address the worker's? look into its log; what is not a worker must end before one can start")
            ]
        }
    }

    /// - Parameter page: /readyz of the worker.
    static func readiness(_ page: HealthClient.Page, _ process: String) -> Finding {
        let lines = page.body.split(whereSeparator: \.isNewline).map(String.init)
        switch page.status {
        case 200 where lines.first == "ok":
            let notes = lines.dropFirst()
            return .ok("worker", (["\(process) is ready"] + notes).joined(separator: "; "))
        case 503:
            return .failure(
                "worker", "\(process) is not ready: \(lines.joined(separator: "; "))",
                remedy: "mend what it names; its log has more")
        default:
            return .failure(
                "worker", "\(process) has the journal, but what answers at http_address is not pivotd (\(page.status))",
                remedy: "set http_address to the worker's")
        }
    }

    /// Whether a worker that starts would have its health pages. It would go on without them, unwatched.
    private func pages() async -> Finding {
        let name = "http_address"
        guard let address = configuration.daemon.httpAddress else { return .ok(name, "empty: no health pages") }
        guard let problem = address.listenProblem() else { return .ok(name, "\(address) is free") }
        let page = try? await HealthClient.get("/readyz", of: address, patience: Self.patience)
        if let line = page?.body.split(whereSeparator: \.isNewline).first, page?.status == 503, line.hasPrefix("start: ") {
            let waiting = "a worker that has not opened its journal is at \(address): \(line)"
            return .failure("worker", waiting, remedy: "mend what it waits for; its log has more")
        }
        return .failure(
            name, "\(address): \(problem)",
            remedy: "set http_address to a free port of this machine; ss -ltnp names the process that has one")
    }
}
