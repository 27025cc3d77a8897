import CLibvirt

/// What the guest has done with a disk since it started: ended requests, and the time that they took.
package struct BlockStatistics: Sendable, Hashable {
    /// Reads, writes and flushes.
    package let requests: Int64
    /// Nanoseconds of all of them together.
    package let nanoseconds: Int64
}

extension LibvirtDomain {
    /// The disk's counters (`virDomainBlockStatsFlags`). A block job's own reads and writes are not in them.
    package func blockStatistics(disk: String) async throws(LibvirtError) -> BlockStatistics {
        try await call { (domain) throws(LibvirtError) in
            var count: Int32 = 0
            _ = try check(unsafe virDomainBlockStatsFlags(domain, disk, nil, &count, 0))
            var list = unsafe [virTypedParameter](repeating: virTypedParameter(), count: Int(count))
            _ = try check(unsafe virDomainBlockStatsFlags(domain, disk, &list, &count, 0))
            var (requests, nanoseconds) = (Int64(0), Int64(0))
            for kind in ["rd", "wr", "flush"] {
                requests += try unsafe number("\(kind)_operations", in: &list, count)
                nanoseconds += try unsafe number("\(kind)_total_times", in: &list, count)
            }
            return BlockStatistics(requests: requests, nanoseconds: nanoseconds)
        }
    }
}

/// A member of the list; 0 if it has none of this name.
private func number(_ name: String, in list: inout [virTypedParameter], _ count: Int32) throws(LibvirtError) -> Int64 {
    var value: Int64 = 0
    _ = try check(unsafe virTypedParamsGetLLong(&list, count, name, &value))
    return value
}
