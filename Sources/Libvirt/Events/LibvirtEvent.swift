import CLibvirt

/// An event of a domain, or of the subscription itself.
package enum LibvirtEvent: Sendable, Hashable {
    /// A block job changed (`VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2`); `disk` is the target, for example `vdb`.
    case blockJob(domainUUID: String, disk: String, type: BlockJobType, status: BlockJobStatus)
    /// A domain changed (`VIR_DOMAIN_EVENT_ID_LIFECYCLE`); `detail` is the `virDomainEvent…DetailType` for `event`.
    case lifecycle(domainUUID: String, event: LifecycleEvent, detail: Int32)
    /// QEMU's own event, such as `BLOCK_JOB_COMPLETED` with its `error`; `details` is its data as JSON, or empty.
    case monitor(domainUUID: String, name: String, details: String)
    /// The subscriber was too slow: this many events, older than those that follow, were dropped. Query the domain itself.
    case overflow(dropped: Int)
    /// The connection ended; nothing follows.
    case disconnected(CloseReason)

    /// The domain concerned; nil if all are.
    package var domainUUID: String? {
        switch self {
        case .blockJob(let uuid, _, _, _), .lifecycle(let uuid, _, _), .monitor(let uuid, _, _): uuid
        case .overflow, .disconnected: nil
        }
    }
}

/// `virDomainEventType`.
package enum LifecycleEvent: Sendable, Hashable {
    case defined, undefined, started, suspended, resumed, stopped, shutdown, pmsuspended, crashed
    /// One that this libvirt has and pivotd does not know.
    case other(Int32)

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_DOMAIN_EVENT_DEFINED.rawValue): .defined
            case Int32(VIR_DOMAIN_EVENT_UNDEFINED.rawValue): .undefined
            case Int32(VIR_DOMAIN_EVENT_STARTED.rawValue): .started
            case Int32(VIR_DOMAIN_EVENT_SUSPENDED.rawValue): .suspended
            case Int32(VIR_DOMAIN_EVENT_RESUMED.rawValue): .resumed
            case Int32(VIR_DOMAIN_EVENT_STOPPED.rawValue): .stopped
            case Int32(VIR_DOMAIN_EVENT_SHUTDOWN.rawValue): .shutdown
            case Int32(VIR_DOMAIN_EVENT_PMSUSPENDED.rawValue): .pmsuspended
            case Int32(VIR_DOMAIN_EVENT_CRASHED.rawValue): .crashed
            default: .other(code)
            }
    }
}

/// `virConnectCloseReason`: why a connection ended.
package enum CloseReason: Sendable, Hashable {
    case error, endOfFile, keepalive
    /// It was closed on this side.
    case client
    /// One that this libvirt has and pivotd does not know.
    case other(Int32)

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_CONNECT_CLOSE_REASON_ERROR.rawValue): .error
            case Int32(VIR_CONNECT_CLOSE_REASON_EOF.rawValue): .endOfFile
            case Int32(VIR_CONNECT_CLOSE_REASON_KEEPALIVE.rawValue): .keepalive
            case Int32(VIR_CONNECT_CLOSE_REASON_CLIENT.rawValue): .client
            default: .other(code)
            }
    }
}
