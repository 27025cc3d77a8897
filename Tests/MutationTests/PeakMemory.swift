import Foundation

/// The most memory that this process had resident at once.
///
/// From `/proc`, since `getrusage` counts what the process was before `exec`, too: the much larger test runner.
enum PeakMemory {
    /// In MiB; 0 if the kernel does not say.
    static var mebibytes: Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) >> 10
    }

    /// Whether a sanitizer keeps memory of its own, which says nothing of ours.
    static let isBlurred = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
}
