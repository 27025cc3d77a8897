package import Logging
package import VolumeSwap

/// The hypervisor that `libvirt_uri` names, with what goes with it.
package struct HypervisorChoice: Sendable {
    package let hypervisor: any Hypervisor
    package let connector: any VolumeConnector
    /// nil for a simulated hypervisor.
    package let link: LibvirtLink?
    package private(set) var hooks = SwapHooks()
    /// Whether a copy takes no time at all.
    let isInstant: Bool
    private let libvirt: LibvirtHypervisor?
    package var isDryRun: Bool { link == nil }
    /// The domains that do not answer, longest first.
    package var hungDomains: [HungDomain] { libvirt?.hungDomains ?? [] }

    /// - Throws: ``ConfigurationError`` for a `dry-run:` URI that cannot be read.
    package init(configuration: PivotdConfiguration.Hypervisor, logger: Logger) throws {
        if DryRunOptions.isMeant(by: configuration.libvirtURI) {
            link = nil
            libvirt = nil
            let options = try DryRunOptions(uri: configuration.libvirtURI)
            isInstant = options.rateMiBs == nil
            let simulated = try DryRunHypervisor(options: options, mountPointBase: configuration.mountPointBase)
            hypervisor = simulated
            hooks.willPrepare = { simulated.expect($0) }
            connector = DryRunConnector()
            return
        }
        let link = LibvirtLink(uri: configuration.libvirtURI, logger: logger)
        self.link = link
        isInstant = false
        let libvirt = LibvirtHypervisor(
            link: link, allowsMonitorCommands: configuration.allowMonitorCommands, logger: logger)
        self.libvirt = libvirt
        hypervisor = libvirt
        connector =
            configuration.connectorHelper.map {
                ConnectorHelper(executable: $0, timeout: configuration.connectorTimeout, logger: logger)
            } ?? NoConnector()
    }

    /// The settings of swaps on this hypervisor: nothing is forbidden where nothing is real.
    package func settings(_ configuration: PivotdConfiguration) -> SwapSettings {
        var settings = configuration.swapSettings
        if isDryRun { settings.volumes.allowedPaths = PathPolicy(["/"]) }
        return settings
    }
}
