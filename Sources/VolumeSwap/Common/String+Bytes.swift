import Foundation

extension String {
    /// Compares byte by byte: strings that Swift considers equal may name two files.
    func hasSameBytes(as other: String) -> Bool {
        var one = self
        var other = other
        return one.withUTF8 { one in
            other.withUTF8 { other in
                guard let first = one.baseAddress, let second = other.baseAddress else {
                    return one.isEmpty && other.isEmpty
                }
                return unsafe one.count == other.count && memcmp(first, second, one.count) == 0
            }
        }
    }
}
