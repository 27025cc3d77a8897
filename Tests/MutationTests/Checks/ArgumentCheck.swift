import JSON
import OsloMessaging

@testable import SwapBus
@testable import VolumeSwap

/// What a request's arguments must lead to: a swap whose volumes can be written as XML, or a failure that names an argument.
enum ArgumentCheck {
    /// Maximum bytes of a refusal's reason, which goes to the log and the journal.
    private static let reasonLength = 1024

    /// Why the arguments are refused; nil if they are not, or the method is unknown.
    static func refusal(of request: RPCRequest) -> SwapFailure? {
        if request.method == SwapVolume.name { return SwapVolume(request, defaults: SwapOptions()).refusal }
        do throws(SwapFailure) {
            _ = try SwapEndpoint.methodsByName[request.method]?.init(args: request.args)
            return nil
        } catch {
            return error
        }
    }

    static func faults(of request: RPCRequest, _ refusal: SwapFailure?) -> [String] {
        var faults: [String] = []
        if let refusal {
            if refusal.kind != .invalidInput || refusal.reason.isEmpty { faults.append("refused as \(refusal)") }
            if refusal.reason.utf8.count > reasonLength { faults.append("a reason of \(refusal.reason.utf8.count) bytes") }
        }
        guard request.method == SwapVolume.name else { return faults }
        let record = SwapVolume(request, defaults: SwapOptions()).record
        if record.id.text.isEmpty { faults.append("a task without an id") }
        let isRefused = InstanceReference.isRefused(key: record.instanceKey) || record.instanceKey == "task:\(record.id)"
        if refusal != nil, !isRefused { faults.append("a refused task waits for its instance") }
        guard refusal == nil, let swap = try? SwapRequest(args: request.args, defaults: SwapOptions()) else { return faults }
        let resumed = try? ConnectionInfo(resuming: request.args["new_connection_info"], argument: "new_connection_info")
        if resumed != swap.newConnection { faults.append("read differently after a restart") }
        return faults + [swap.oldConnection, swap.newConnection].flatMap(faults(of:))
    }

    private static func faults(of connection: ConnectionInfo) -> [String] {
        let context = DriverContext(mountPointBase: "/var/lib/nova/mnt", argument: "new_connection_info")
        _ = connection.identity
        _ = connection.replacing(connection, oldVolumeID: connection.volumeID, devicePath: connection.devicePath)
        do throws(SwapFailure) {
            let target = try connection.driver.target(of: connection, context)
            let format = try connection.format(argument: context.argument)
            guard let location = target.location else { return [] }
            let xml = try DomainXML.destination(VolumeSource(location: location, format: format))
            return faults(of: xml, location)
        } catch {
            return error.kind == .invalidInput && !error.reason.isEmpty ? [] : ["a volume is refused as \(error)"]
        }
    }

    /// Whether libvirt would read the place that was meant.
    private static func faults(of xml: String, _ location: VolumeLocation) -> [String] {
        guard let source = (try? XMLTree(parsing: xml))?.first("source") else { return ["XML that cannot be read: \(xml)"] }
        let isKept =
            switch location {
            case .network(let network):
                source.value("name") ?? "" == network.name
                    && source.all("host").map { $0.value("name") } == network.hosts.map(\.name)
            case .file, .block, .other: source.value("dev") == location.path
            }
        return isKept ? [] : ["the XML names another place than \(location): \(xml)"]
    }
}
