import Basics

/// Ids in the form oslo.messaging uses: 32 lower-case hexadecimal digits.
package enum UniqueID {
    /// A random id, as `uuid.uuid4().hex`.
    package static func random() -> String {
        UInt128.random(in: .min ... .max).padded(to: 32, radix: 16)
    }

    /// An id derived from a string, the same in every process.
    ///
    /// Gives a reply that is published twice the same `_unique_id`, so that clients discard the second.
    package static func derived(from text: String) -> String {
        half(text, basis: FNV1a.basis64) + half(text, basis: 0x8422_2325_cbf2_9ce4)
    }

    private static func half(_ text: String, basis: UInt64) -> String {
        var hash = FNV1a.hash64(text, basis: basis)
        // FNV's high bits change little for short strings; this is the finaliser of MurmurHash3.
        hash = (hash ^ (hash >> 33)) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ (hash >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return (hash ^ (hash >> 33)).padded(to: 16, radix: 16)
    }
}
