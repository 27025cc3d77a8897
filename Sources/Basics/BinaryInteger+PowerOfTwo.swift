extension BinaryInteger {
    /// Whether exactly one bit is set.
    package var isPowerOfTwo: Bool { self > 0 && self & (self - 1) == 0 }
}
