import Basics
import Logging
import Observability

/// Serves the health pages. Nothing that happens to them ends the worker: what fails is logged and tried again.
struct HealthService: Sendable {
    let server: HealthServer
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        var backoff = Backoff(first: .seconds(1))
        while !Task.isCancelled {
            do {
                try await server.run { [logger] in logger.info("health pages on http://\($0)") }
            } catch {
                logger.error("\(error); swaps go on, and it is tried again")
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { return }
        }
    }
}
