import Basics
import Testing

/// The test vectors of the function's authors.
@Suite struct FNV1aTests {
    @Test(
        arguments: [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
            as [(String, UInt64)])
    func hashes64(text: String, hash: UInt64) {
        #expect(FNV1a.hash64(text) == hash)
    }

    @Test func hashes128() {
        #expect(FNV1a.hash128("") == 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
        #expect(FNV1a.hash128("a") == 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964)
    }

    @Test func numbersArePadded() {
        #expect(UInt64(0xab).padded(to: 4, radix: 16) == "00ab")
        #expect(Int64(12345).padded(to: 2) == "12345")
    }
}
