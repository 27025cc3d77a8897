import Foundation

/// The machine's name.
enum HostName {
    /// gethostname(2), as oslo's `socket.gethostname()`: no resolver is asked. `localhost` when there is none.
    static var current: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return bytes.isEmpty ? "localhost" : String(decoding: bytes, as: UTF8.self)
    }
}
