import Logging
import Observability
import Settings
import Synchronization

/// Reads the configuration again on SIGHUP, takes what a running worker can take, and says so. A configuration that is not right
/// changes nothing.
final class ConfigurationReloader: Sendable {
    private struct State {
        var configuration: PivotdConfiguration
        var isReloaded = false
        var apply: @Sendable (PivotdConfiguration) -> Void = { _ in }
    }

    private let state: Mutex<State>
    private let load: @Sendable () throws(ConfigurationError) -> PivotdConfiguration
    private let logger: Logger

    /// - Parameter load: reads flags, environment and file as the start did.
    init(
        _ configuration: PivotdConfiguration, logger: Logger,
        load: @escaping @Sendable () throws(ConfigurationError) -> PivotdConfiguration
    ) {
        state = Mutex(State(configuration: configuration))
        self.load = load
        self.logger = logger
    }

    /// Who takes what has changed; called at once when something has already.
    func onReload(_ apply: @escaping @Sendable (PivotdConfiguration) -> Void) {
        let reloaded = state.withLock { state in
            state.apply = apply
            return state.isReloaded ? state.configuration : nil
        }
        if let reloaded { apply(reloaded) }
    }

    /// Reads files: not for a thread that must not wait.
    func reload() {
        let new: PivotdConfiguration
        do throws(ConfigurationError) {
            new = try load()
        } catch {
            logger.error("the configuration is not reloaded, the old one stays:\n\(error)")
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
        if !change.left.isEmpty { texts.append("needs a restart for \(change.left.joined(separator: ", "))") }
        return texts.isEmpty ? "nothing has changed" : texts.joined(separator: "; ")
    }
}
