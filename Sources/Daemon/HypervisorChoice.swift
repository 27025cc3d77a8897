import Logging
import VolumeSwap

/// The hypervisor that `libvirt_uri` names, and what keeps it alive.
struct HypervisorChoice {
    let hypervisor: any Hypervisor
    /// nil for a hypervisor made of nothing.
    let link: LibvirtLink?

    init(configuration: PivotdConfiguration.Hypervisor, logger: Logger) {
        let link = LibvirtLink(uri: configuration.libvirtURI, logger: logger)
        self.link = link
        hypervisor = LibvirtHypervisor(link: link, allowsMonitorCommands: configuration.allowMonitorCommands, logger: logger)
    }
}
