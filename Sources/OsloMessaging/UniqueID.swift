/// Ids in the form oslo.messaging uses: 32 lower-case hexadecimal digits.
package enum UniqueID {
    /// A random id, as `uuid.uuid4().hex`.
    package static func random() -> String {
        hex(UInt64.random(in: .min ... .max)) + hex(UInt64.random(in: .min ... .max))
    }

    /// An id that is the same whenever the same text is given, in every process.
    ///
    /// A reply published twice carries the same `_unique_id` this way, by which a client knows the second as a duplicate.
    package static func derived(from text: String) -> String {
        hex(fnv1a(text.utf8, basis: 0xcbf2_9ce4_8422_2325)) + hex(fnv1a(text.utf8, basis: 0x8422_2325_cbf2_9ce4))
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func fnv1a(_ bytes: some Sequence<UInt8>, basis: UInt64) -> UInt64 {
        var hash = bytes.reduce(basis) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        // FNV's high bits move little for short texts; this is the finaliser of MurmurHash3.
        hash = (hash ^ (hash >> 33)) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ (hash >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return hash ^ (hash >> 33)
    }
}
