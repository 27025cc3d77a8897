import Foundation

/// Counts what each operation allocates, and compares that with the thresholds: `Allocations THRESHOLDS EXAMPLE [--write]`.
@main
struct Allocations {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3, let counter = AllocationCounter() else {
            complain("usage: LD_PRELOAD=count_mallocs.so Allocations THRESHOLDS EXAMPLE [--write]")
            exit(2)
        }
        var thresholds = try Thresholds(path: arguments[1])
        let counts = try await count(counter, example: arguments[2], thresholds)
        if arguments.contains("--write") { return try thresholds.write(counts) }
        let faults = counts.compactMap { thresholds.fault($0.name, $0.count) }
        for fault in faults { complain(fault) }
        if !faults.isEmpty { exit(1) }
    }

    private static func count(
        _ counter: AllocationCounter, example: String, _ thresholds: Thresholds
    ) async throws -> [(name: String, count: Double)] {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pivotd-allocations-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let operations = try await Operations(example: example, directory: directory)
        var counts: [(name: String, count: Double)] = []
        print("\("times \(Operation.times)".padding(toLength: 36, withPad: " ", startingAt: 0))  allocations, allowed, bytes")
        for operation in operations.all {
            let cost = try await operation.cost(counter)
            counts.append((operation.name, cost.allocations))
            show(operation.name, cost, thresholds.limit(operation.name))
        }
        await operations.close()
        return counts
    }

    private static func show(_ name: String, _ cost: Operation.Cost, _ limit: Double?) {
        let columns = [
            name.padding(toLength: 36, withPad: " ", startingAt: 0), right("\(Thresholds.rounded(cost.allocations))"),
            right(limit.map { "\($0)" } ?? "-"), right("\(Int(cost.bytes))"),
        ]
        print(columns.joined(separator: "  "))
    }

    private static func right(_ text: String) -> String { String(repeating: " ", count: max(0, 10 - text.count)) + text }

    private static func complain(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
}
