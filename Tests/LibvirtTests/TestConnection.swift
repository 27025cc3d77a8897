import Libvirt
import Logging

/// libvirt's test driver, which needs no daemon.
///
/// `test:///default` is one simulated host for the whole process: tests define domains of their own and touch no other.
func openTestDriver() async throws -> LibvirtConnection {
    var logger = Logger(label: "libvirt-tests")
    logger.logLevel = .warning
    return try await LibvirtConnection.open(uri: "test:///default", logger: logger)
}

/// The configuration of a small domain.
func domainXML(name: String, uuid: String, description: String = "") -> String {
    """
    <domain type='test'><name>\(name)</name><uuid>\(uuid)</uuid><description>\(description)</description>
    <memory unit='KiB'>8192</memory><vcpu>1</vcpu><os><type arch='i686'>hvm</type></os></domain>
    """
}
