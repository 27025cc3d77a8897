import JSON
import OsloMessaging
import SwapBus
import Testing

/// Inputs made from the recordings and the schemas' examples, each by its seed.
@Suite("Mutated messages", .serialized, .timeLimit(.minutes(600)))
struct MutationTests {
    /// MiB that decoding may take beyond the first inputs, however many follow.
    private static let room = 256

    @Test("Every input ends in a request or in a clear error, and every call gets one answer")
    func bodies() async throws {
        let corpus = try await Corpus()
        let run = MutationRun()
        let before = PeakMemory.mebibytes
        try await run.inPieces { seeds, worker in
            var bodies: [[UInt8]] = []
            for seed in seeds {
                run.begin(seed, worker)
                var mutator = Mutator(seed: seed, corpus: corpus)
                let body = mutator.body()
                let ending = DecoderCheck.ending(of: body)
                run.end(seed, ending.name, ending.faults)
                bodies.append(body)
            }
            for (index, fault) in await ServerCheck.faults(of: bodies) { run.add(seeds[index], fault) }
        }
        let grown = PeakMemory.mebibytes - before
        report(run, "bodies", grown: grown)
        if MutationRun.count >= 3000 { expectVariety(run) }
        #expect(grown <= Self.room || PeakMemory.isBlurred, "decoding took \(grown) MiB")
        if MutationRun.count == 1 { show(MutationRun.first, corpus) }
    }

    /// A run in which nothing is accepted, or nothing refused, would prove little.
    private func expectVariety(_ run: MutationRun) {
        var names = ["not_json", "unsupported_envelope", "missing_key", "wrong_type", "unknown method"]
        names += SwapEndpoint.methods.map { "\($0) accepted" }
        names += ["swap_volume", "get_swap", "list_swaps", "pivot_swap", "set_bandwidth"].map { "\($0) refused" }
        for name in names { #expect(run.endings[name] != nil, "no input ended as: \(name)") }
        let accepted = run.endings["swap_volume accepted"] ?? 0
        #expect(accepted * 50 > Int(MutationRun.count), "of \(MutationRun.count) inputs only \(accepted) are swaps")
    }

    @Test("The whole worker has an outcome for every request")
    func tasks() async throws {
        let corpus = try await Corpus()
        let run = MutationRun()
        try await run.inPieces(oneIn: 25) { seeds, worker in
            let bodies = seeds.map { seed in
                var mutator = Mutator(seed: seed, corpus: corpus)
                return mutator.body()
            }
            if let seed = seeds.first { run.begin(seed, worker) }
            let result = try await TaskCheck.result(of: bodies)
            for (index, name) in result.endings { run.end(seeds[index], name, []) }
            for (index, fault) in result.faults { run.add(seeds[index], fault) }
        }
        report(run, "tasks")
        for name in ["ok", "InvalidInput", "rejected"] where MutationRun.count >= 3000 {
            #expect(run.endings[name] != nil, "no request ended as: \(name)")
        }
    }

    @Test("A capture file of any content is read to its end")
    func captures() async throws {
        let corpus = try await Corpus()
        let run = MutationRun()
        let before = PeakMemory.mebibytes
        try await run.inPieces(oneIn: 25) { seeds, worker in
            let check = try CaptureCheck()
            for seed in seeds {
                run.begin(seed, worker)
                var mutator = Mutator(seed: seed, corpus: corpus)
                let outcome = try await check.outcome(of: mutator.captureFile())
                run.end(seed, outcome.broken == 0 ? "whole" : outcome.messages == 0 ? "unreadable" : "damaged", outcome.faults)
            }
        }
        let grown = PeakMemory.mebibytes - before
        report(run, "captures", grown: grown)
        #expect(grown <= Self.room || PeakMemory.isBlurred, "reading took \(grown) MiB")
    }

    @Test("The same seed makes the same input")
    func seeds() async throws {
        let corpus = try await Corpus()
        for seed in UInt64(1)...200 {
            var (one, other) = (Mutator(seed: seed, corpus: corpus), Mutator(seed: seed, corpus: corpus))
            #expect(one.body() == other.body(), "seed \(seed)")
        }
    }

    private func report(_ run: MutationRun, _ what: String, grown: Int? = nil) {
        for (seed, fault) in run.faults.prefix(50) { Issue.record("\(what), seed \(seed): \(fault)") }
        guard MutationRun.isAskedFor else { return }
        let endings = run.endings.sorted { $0.value > $1.value }.map { "\($0.value) \($0.key)" }
        print("\(what), seeds from \(MutationRun.first): \(endings.joined(separator: ", "))")
        print("\(run.faults.count) faults" + (grown.map { "; the peak of memory grew by \($0) MiB" } ?? ""))
    }

    /// Prints one seed's input and what became of it.
    private func show(_ seed: UInt64, _ corpus: Corpus) {
        var mutator = Mutator(seed: seed, corpus: corpus)
        let body = mutator.body()
        print("\(JSONValue.string(String(decoding: body, as: UTF8.self)).serialized())\n\(DecoderCheck.ending(of: body).name)")
    }
}
