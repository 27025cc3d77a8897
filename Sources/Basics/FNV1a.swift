/// The hash function FNV-1a: stable across processes, machines and versions. Not for input an attacker may choose.
package enum FNV1a {
    /// The offset basis of the 64-bit function.
    package static let basis64: UInt64 = 0xcbf2_9ce4_8422_2325

    /// The 64-bit hash of a string's UTF-8.
    ///
    /// - Parameter basis: another offset basis gives an independent hash.
    package static func hash64(_ text: String, basis: UInt64 = basis64) -> UInt64 {
        text.utf8.reduce(basis) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }

    /// The 128-bit hash of a string's UTF-8.
    package static func hash128(_ text: String) -> UInt128 {
        text.utf8.reduce(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d) {
            ($0 ^ UInt128($1)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
        }
    }
}
