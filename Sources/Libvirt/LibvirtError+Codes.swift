import CLibvirt

extension LibvirtError {
    /// The code's name without `VIR_ERR_`, for example `NO_DOMAIN`; the number for codes newer than libvirt 9.0.
    package var codeName: String {
        guard let index = Int(exactly: code), Self.codeNames.indices.contains(index), !Self.codeNames[index].isEmpty else {
            return "\(code)"
        }
        return Self.codeNames[index]
    }

    /// No such domain (`VIR_ERR_NO_DOMAIN`).
    package var isNoDomain: Bool { has(VIR_ERR_NO_DOMAIN) }
    /// Not possible in the current state, for example "domain is not running" (`VIR_ERR_OPERATION_INVALID`).
    package var isOperationInvalid: Bool { has(VIR_ERR_OPERATION_INVALID) }
    /// A block copy is in the way, or the one to pivot to is not in sync yet (`VIR_ERR_BLOCK_COPY_ACTIVE`).
    package var isBlockCopyActive: Bool { has(VIR_ERR_BLOCK_COPY_ACTIVE) }
    /// Another job or a lock has held the domain for too long (`VIR_ERR_OPERATION_TIMEOUT`).
    package var isOperationTimeout: Bool { has(VIR_ERR_OPERATION_TIMEOUT) }
    /// No such secret, or one without a value (`VIR_ERR_NO_SECRET`).
    package var isNoSecret: Bool { has(VIR_ERR_NO_SECRET) }
    /// The domain has no metadata of that kind (`VIR_ERR_NO_DOMAIN_METADATA`).
    package var isNoDomainMetadata: Bool { has(VIR_ERR_NO_DOMAIN_METADATA) }
    /// An argument that is never valid, such as a flag that libvirt does not know (`VIR_ERR_INVALID_ARG`).
    var isInvalidArgument: Bool { has(VIR_ERR_INVALID_ARG) }
    /// The driver or the QEMU binary cannot do this at all.
    package var isUnsupported: Bool {
        has(VIR_ERR_NO_SUPPORT) || has(VIR_ERR_OPERATION_UNSUPPORTED) || has(VIR_ERR_ARGUMENT_UNSUPPORTED)
            || has(VIR_ERR_CONFIG_UNSUPPORTED)
    }

    /// The connection to libvirt was lost, so the call's effect is unknown.
    ///
    /// libvirt has no single code for this: its RPC layer raises system and internal errors in its own error domains.
    package var isConnectionLost: Bool {
        if has(VIR_ERR_NO_CONNECT) || has(VIR_ERR_INVALID_CONN) || has(VIR_ERR_RPC) { return true }
        let transport = [VIR_FROM_RPC, VIR_FROM_REMOTE].contains { $0.rawValue == UInt32(bitPattern: domain) }
        return transport && (has(VIR_ERR_SYSTEM_ERROR) || has(VIR_ERR_INTERNAL_ERROR))
    }

    private func has(_ number: virErrorNumber) -> Bool {
        code == Int32(bitPattern: number.rawValue)
    }

    private static let codeNames = [
        "OK", "INTERNAL_ERROR", "NO_MEMORY", "NO_SUPPORT", "UNKNOWN_HOST", "NO_CONNECT", "INVALID_CONN",
        "INVALID_DOMAIN", "INVALID_ARG", "OPERATION_FAILED", "GET_FAILED", "POST_FAILED", "HTTP_ERROR",
        "SEXPR_SERIAL", "NO_XEN", "XEN_CALL", "OS_TYPE", "NO_KERNEL", "NO_ROOT", "NO_SOURCE", "NO_TARGET", "NO_NAME",
        "NO_OS", "NO_DEVICE", "NO_XENSTORE", "DRIVER_FULL", "CALL_FAILED", "XML_ERROR", "DOM_EXIST",
        "OPERATION_DENIED", "OPEN_FAILED", "READ_FAILED", "PARSE_FAILED", "CONF_SYNTAX", "WRITE_FAILED",
        "XML_DETAIL", "INVALID_NETWORK", "NETWORK_EXIST", "SYSTEM_ERROR", "RPC", "GNUTLS_ERROR", "", "NO_DOMAIN",
        "NO_NETWORK", "INVALID_MAC", "AUTH_FAILED", "INVALID_STORAGE_POOL", "INVALID_STORAGE_VOL", "",
        "NO_STORAGE_POOL", "NO_STORAGE_VOL", "", "INVALID_NODE_DEVICE", "NO_NODE_DEVICE", "NO_SECURITY_MODEL",
        "OPERATION_INVALID", "", "NO_INTERFACE", "INVALID_INTERFACE", "MULTIPLE_INTERFACES", "", "INVALID_NWFILTER",
        "NO_NWFILTER", "BUILD_FIREWALL", "", "INVALID_SECRET", "NO_SECRET", "CONFIG_UNSUPPORTED",
        "OPERATION_TIMEOUT", "MIGRATE_PERSIST_FAILED", "HOOK_SCRIPT_FAILED", "INVALID_DOMAIN_SNAPSHOT",
        "NO_DOMAIN_SNAPSHOT", "INVALID_STREAM", "ARGUMENT_UNSUPPORTED", "STORAGE_PROBE_FAILED", "STORAGE_POOL_BUILT",
        "SNAPSHOT_REVERT_RISKY", "OPERATION_ABORTED", "AUTH_CANCELLED", "NO_DOMAIN_METADATA", "MIGRATE_UNSAFE",
        "OVERFLOW", "BLOCK_COPY_ACTIVE", "OPERATION_UNSUPPORTED", "SSH", "AGENT_UNRESPONSIVE", "RESOURCE_BUSY",
        "ACCESS_DENIED", "DBUS_SERVICE", "STORAGE_VOL_EXIST", "CPU_INCOMPATIBLE", "XML_INVALID_SCHEMA",
        "MIGRATE_FINISH_OK", "AUTH_UNAVAILABLE", "NO_SERVER", "NO_CLIENT", "AGENT_UNSYNCED", "LIBSSH",
        "DEVICE_MISSING", "INVALID_NWFILTER_BINDING", "NO_NWFILTER_BINDING", "INVALID_DOMAIN_CHECKPOINT",
        "NO_DOMAIN_CHECKPOINT", "NO_DOMAIN_BACKUP", "INVALID_NETWORK_PORT", "NETWORK_PORT_EXIST", "NO_NETWORK_PORT",
        "NO_HOSTNAME", "CHECKPOINT_INCONSISTENT", "MULTIPLE_DOMAINS",
    ]
}
