import Logging
import Observability
import Settings
import Synchronization

/// Rereads the configuration on SIGHUP, applies what can change at run time, and logs it. An invalid configuration changes
/// nothing.
final class ConfigurationReloader: Sendable {
    private struct State {
        var configuration: PivotdConfiguration
        var isReloaded = false
        var apply: @Sendable (PivotdConfiguration) -> Void = { _ in }
    }

    private let state: Mutex<State>
    private let load: @Sendable () throws(ConfigurationError) -> PivotdConfiguration
    private let logger: Logger

    /// - Parameter load: Reads flags, environment and file as on start.
    init(
        _ configuration: PivotdConfiguration, logger: Logger,
        load: @escaping @Sendable () throws(ConfigurationError) -> PivotdConfiguration
    ) {
        state = Mutex(State(configuration: configuration))
        self.load = load
        self.logger = logger
    }

    /// Sets the handler for changes; it is called at once if something has already changed.
    func onReload(_ apply: @escaping @Sendable (PivotdConfiguration) -> Void) {
        let reloaded = state.withLock { state in
            state.apply = apply
            return state.isReloaded ? state.configuration : nil
        }
        if let reloaded { apply(reloaded) }
    }

    /// Rereads the configuration. Blocks on files.
    func reload() {
        let new: PivotdConfiguration
        do throws(ConfigurationError) {
            new = try load()
        } catch {
            for problem in error.problems { logger.error("the configuration is invalid and was not reloaded: \(problem)") }
            return
        }
        let (change, configuration, apply) = state.withLock { state in
            let change = state.configuration.adopt(new)
            state.isReloaded = true
            return (change, state.configuration, state.apply)
        }
        LoggingSetup.threshold.set(configuration.daemon.logLevel)
        apply(configuration)
        logger.notice("configuration reloaded: \(Self.text(change))")
    }

    static func text(_ change: PivotdConfiguration.Change) -> String {
        var texts: [String] = []
        if !change.taken.isEmpty { texts.append("took \(change.taken.joined(separator: ", "))") }
        if !change.left.isEmpty { texts.append("restart needed for \(change.left.joined(separator: ", "))") }
        return texts.isEmpty ? "nothing has changed" : texts.joined(separator: "; ")
    }
}
