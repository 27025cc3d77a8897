import Logging
package import Settings

/// Checks what the worker needs, without changing anything: the host, libvirt, QEMU, the broker and its queues. Asks a running
/// worker for its readiness.
package struct Doctor: Sendable {
    let configuration: PivotdConfiguration
    /// The configuration file; it may be missing.
    let file: String
    /// Checks report what they find; the modules' own log lines would only repeat it.
    let logger = Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameter file: The configuration file, whose permissions are checked.
    package init(configuration: PivotdConfiguration, file: String) {
        self.configuration = configuration
        self.file = file
    }

    /// All checks, in the order in which the worker would meet them.
    package func examine() async -> DoctorReport {
        async let hypervisor = hypervisor()
        async let broker = broker()
        async let connector = connectorHelper()
        let host = await configurationFile() + brokerFiles() + stateDirectory() + worker()
        let (libvirt, features) = await hypervisor
        return await DoctorReport(host + connector + allowedPaths() + libvirt + broker, features)
    }
}
