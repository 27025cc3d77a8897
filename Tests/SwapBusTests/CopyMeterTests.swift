import Foundation
import JSON
import Testing
import VolumeSwap

@testable import SwapBus

@Suite("Bytes of running copies") struct CopyMeterTests {
    private let meter = CopyMeter()
    private let start = ContinuousClock.now

    private func record(_ id: String = "t") -> SwapRecord {
        SwapRecord(
            id: TaskID(id), instanceKey: "i", disk: "vdb", args: ["new_connection_info": ["driver_volume_type": "rbd"]],
            replyTo: nil, acceptedAt: .now)
    }

    private func progress(_ copied: Int64, of total: Int64 = 100) -> SwapProgress {
        var progress = SwapProgress()
        (progress.copiedBytes, progress.totalBytes) = (copied, total)
        return progress
    }

    private func sample(_ copied: Int64, of total: Int64 = 100, after seconds: Int = 0) -> Int64 {
        meter.sample(record(), by: .copy, progress(copied, of: total), at: start + .seconds(seconds))
    }

    @Test("Each sample counts what is new, and another attempt counts from zero")
    func counting() {
        meter.begin(record(), by: .copy)
        #expect([10, 10, 60, 5, 100].map { sample($0) } == [10, 0, 50, 5, 95])
    }

    @Test("What was copied before a restart is not counted again")
    func restart() {
        #expect(sample(70) == 0)
        #expect(sample(75) == 5)
    }

    @Test("A copy stands still from its last advance until it is in sync, rests or ends")
    func standstill() {
        meter.begin(record(), by: .copy)
        #expect(meter.standstill(at: start) == (0, .zero))
        _ = sample(0, after: 1)
        _ = sample(0, after: 3)
        #expect(meter.standstill(at: start + .seconds(5)) == (1, .seconds(4)))
        _ = sample(10, after: 6)
        #expect(meter.standstill(at: start + .seconds(8)) == (1, .seconds(2)))
        meter.rest(record().id)
        #expect(meter.standstill(at: start + .seconds(8)) == (0, .zero))
        _ = sample(20, after: 9)
        _ = sample(100, after: 10)
        #expect(meter.standstill(at: start + .seconds(50)) == (0, .zero))
        _ = sample(100, of: 110, after: 60)
        #expect(meter.standstill(at: start + .seconds(61)).copies == 1)
        meter.end(record().id)
        #expect(meter.standstill(at: start + .seconds(70)) == (0, .zero))
    }

    @Test("The copy that has been still for longest counts")
    func longest() {
        for (seconds, id) in ["a", "b"].enumerated() {
            meter.sample(record(id), by: .rebase, progress(1), at: start + .seconds(seconds))
        }
        #expect(meter.standstill(at: start + .seconds(10)) == (2, .seconds(10)))
    }
}
