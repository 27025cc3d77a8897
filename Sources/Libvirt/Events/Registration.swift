import CLibvirt
import Logging

/// One callback registered on a connection.
enum Registration: Sendable {
    case domainEvent(Int32)
    case monitorEvent(Int32)
    case close

    /// Deregisters the callback; blocking. A failure means that the connection is gone, and its callbacks with it.
    func remove(from connection: OpaquePointer) {
        switch self {
        case .domainEvent(let identifier): _ = unsafe virConnectDomainEventDeregisterAny(connection, identifier)
        case .monitorEvent(let identifier): _ = unsafe virConnectDomainQemuMonitorEventDeregister(connection, identifier)
        case .close: _ = unsafe virConnectUnregisterCloseCallback(connection, closeCallback)
        }
    }

    /// Registers for every event that pivotd reads, of all domains, or for the end of the connection alone; blocking. What a
    /// driver does not have is logged and left out.
    static func all(on connection: OpaquePointer, events: Bool, hub: EventHub, logger: Logger) -> [Registration] {
        func attempt(_ what: String, _ register: (UnsafeMutableRawPointer) -> Int32) -> Int32? {
            let context = unsafe Unmanaged.passRetained(CallbackContext(hub: hub))
            let identifier = unsafe register(context.toOpaque())
            guard identifier >= 0 else {
                unsafe context.release()
                logger.debug("libvirt driver without \(what) events", metadata: ["error": "\(LibvirtError.last())"])
                return nil
            }
            return identifier
        }
        let closed = unsafe attempt("close") {
            unsafe virConnectRegisterCloseCallback(connection, closeCallback, $0, releaseContext)
        }
        let close = closed.map { _ in [Registration.close] } ?? []
        guard events else { return close }
        let domainEvents = unsafe [
            attempt("lifecycle") { unsafe pivotd_register_lifecycle(connection, lifecycleCallback, $0, releaseContext) },
            attempt("block job") { unsafe pivotd_register_block_job(connection, blockJobCallback, $0, releaseContext) },
        ]
        let monitorEvents = unsafe attempt("QEMU monitor") {
            unsafe virConnectDomainQemuMonitorEventRegister(
                connection, nil, "^BLOCK_(JOB_|IO_ERROR)", monitorCallback, $0, releaseContext,
                VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX.rawValue)
        }
        return close + domainEvents.compactMap { $0.map(Registration.domainEvent) }
            + (monitorEvents.map { [.monitorEvent($0)] } ?? [])
    }
}

/// The target of a callback's opaque pointer, one per registration.
///
/// Holds the hub weakly, since drivers without close notices accept the context and never free it.
final class CallbackContext: Sendable {
    private weak let hub: EventHub?

    init(hub: EventHub) {
        self.hub = hub
    }

    static func publish(_ event: @autoclosure () -> LibvirtEvent?, to opaque: UnsafeMutableRawPointer?) {
        guard let hub = unsafe hub(of: opaque), let event = event() else { return }
        hub.publish(event)
    }

    static func hub(of opaque: UnsafeMutableRawPointer?) -> EventHub? {
        guard let opaque = unsafe opaque else { return nil }
        return unsafe Unmanaged<CallbackContext>.fromOpaque(opaque).takeUnretainedValue().hub
    }
}

private let releaseContext: virFreeCallback = { opaque in
    guard let opaque = unsafe opaque else { return }
    unsafe Unmanaged<CallbackContext>.fromOpaque(opaque).release()
}

private let closeCallback: virConnectCloseFunc = { _, reason, opaque in
    unsafe CallbackContext.hub(of: opaque)?.close(CloseReason(code: reason))
}

private let lifecycleCallback: virConnectDomainEventCallback = { _, domain, event, detail, opaque in
    unsafe CallbackContext.publish(
        domainUUID(domain).map { .lifecycle(domainUUID: $0, event: LifecycleEvent(code: event), detail: detail) }, to: opaque)
    return 0
}

private let blockJobCallback: virConnectDomainEventBlockJobCallback = { _, domain, disk, type, status, opaque in
    unsafe CallbackContext.publish(
        domainUUID(domain).map {
            unsafe .blockJob(
                domainUUID: $0, disk: text(disk), type: BlockJobType(code: type), status: BlockJobStatus(code: status))
        }, to: opaque)
}

private let monitorCallback: virConnectDomainQemuMonitorEventCallback = { _, domain, name, _, _, details, opaque in
    unsafe CallbackContext.publish(
        domainUUID(domain).map { unsafe .monitor(domainUUID: $0, name: text(name), details: text(details)) }, to: opaque)
}

private func text(_ pointer: UnsafePointer<CChar>?) -> String {
    unsafe pointer.map { unsafe String(cString: $0) } ?? ""
}

/// The UUID in libvirt's form; the handle knows it, so there is no remote call.
@safe func domainUUID(_ domain: OpaquePointer?) -> String? {
    guard let domain = unsafe domain else { return nil }
    return uuidText { unsafe virDomainGetUUIDString(domain, $0) }
}
