import Logging
import Observability

/// Serves the health pages. Nothing that happens to them ends the worker: what fails is logged and tried again.
struct HealthService: Sendable {
    private static let pauses = Duration.seconds(1)...Duration.seconds(10)

    let server: HealthServer
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        var pause = Self.pauses.lowerBound
        while !Task.isCancelled {
            do {
                try await server.run { [logger] in logger.info("health pages on http://\($0)") }
            } catch {
                logger.error("\(error); swaps go on, and it is tried again")
            }
            guard (try? await Task.sleep(for: pause)) != nil else { return }  // a bounded back-off
            pause = min(pause * 2, Self.pauses.upperBound)
        }
    }
}
