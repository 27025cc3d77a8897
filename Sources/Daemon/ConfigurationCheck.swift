import DryRun
package import Settings

extension PivotdConfiguration {
    /// Checks what a worker would refuse at its start although each value is valid, without connecting to anything.
    ///
    /// - Throws: ``ConfigurationError``, which never contains the broker's password.
    package func checkForWorker() throws(ConfigurationError) {
        if DryRunOptions.isMeant(by: hypervisor.libvirtURI) { _ = try DryRunOptions(uri: hypervisor.libvirtURI) }
        _ = try bus.topology()
        _ = try bus.amqpConfiguration(name: "")
    }
}
