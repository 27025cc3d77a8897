import Testing

@testable import AMQP

@Suite struct SettlementLedgerTests {
    @Test func aStreamGoesOnBehindItsLastDeliveryAndInANewEpochAtTheFirstUnsettledOne() {
        var ledger = SettlementLedger()
        let (one, other) = (
            SettlementLedger.StreamConsumer(unit: 1, index: 0), SettlementLedger.StreamConsumer(unit: 2, index: 0)
        )
        ledger.begin(epoch: 1)
        for value in 1...4 { ledger.add(UInt64(value), at: .init(consumer: one, offset: 10 + Int64(value))) }
        ledger.add(5, at: .init(consumer: other, offset: 7))
        #expect(ledger.nextOffsets == [one: 15, other: 8])
        for value in [1, 3, 5] as [UInt64] {
            let isWritten = ledger.write(DeliveryTag(epoch: 1, value: value))
            #expect(isWritten)
        }
        ledger.begin(epoch: 0)
        ledger.begin(epoch: 2)
        #expect(ledger.nextOffsets == [one: 12, other: 8])
        ledger.forgetOffsets(of: 1)
        #expect(ledger.nextOffsets == [other: 8])
    }

    private func tag(_ value: UInt64, epoch: UInt64 = 1) -> DeliveryTag { DeliveryTag(epoch: epoch, value: value) }

    private func ledger(_ values: ClosedRange<UInt64>) -> SettlementLedger {
        var ledger = SettlementLedger()
        ledger.begin(epoch: 1)
        for value in values { ledger.add(value) }
        return ledger
    }

    private func write(_ values: [UInt64], in ledger: inout SettlementLedger) -> [SettlementLedger.Acknowledgement] {
        for value in values { _ = ledger.claim(tag(value)) }
        return ledger.write(acknowledged: values.map { tag($0) })
    }

    @Test func tagIsClaimedOnce() {
        var ledger = ledger(1...2)
        let result1 = ledger.claim(tag(1))
        #expect(result1)
        let result2 = ledger.claim(tag(1))
        #expect(!result2)
        let result3 = ledger.claim(tag(3))
        #expect(!result3)
    }

    @Test func staleEpochIsNoOp() {
        var ledger = ledger(1...2)
        let result4 = ledger.claim(tag(1))
        #expect(result4)
        ledger.begin(epoch: 2)
        ledger.add(1)
        let result5 = ledger.claim(tag(1))
        #expect(!result5)
        let result6 = ledger.write(acknowledged: [tag(1)])
        #expect(result6.isEmpty)
        let result7 = ledger.write(tag(1))
        #expect(!result7)
        let result8 = ledger.claim(tag(1, epoch: 2))
        #expect(result8)
    }

    @Test func contiguousAcknowledgementsMerge() {
        var ledger = ledger(1...5)
        #expect(write([3, 1, 2], in: &ledger) == [.init(value: 3, multiple: true)])
        #expect(ledger.held.count == 2)
    }

    @Test func unsettledOneIsNeverCovered() {
        var ledger = ledger(1...5)
        #expect(
            write([1, 2, 4, 5], in: &ledger) == [
                .init(value: 2, multiple: true), .init(value: 4, multiple: false), .init(value: 5, multiple: false),
            ])
        #expect(write([3], in: &ledger) == [.init(value: 3, multiple: false)])
    }

    @Test func rejectionInTheQueueIsNotCovered() {
        var ledger = ledger(1...3)
        let result9 = ledger.claim(tag(1))
        #expect(result9)
        #expect(write([2, 3], in: &ledger) == [.init(value: 2, multiple: false), .init(value: 3, multiple: false)])
        let result10 = ledger.write(tag(1))
        #expect(result10)
        #expect(ledger.held.count == 0)
    }

    @Test func bytesAreHeldUntilTheirSettlementIsWritten() {
        var ledger = ledger(1...1)
        ledger.add(2, bytes: 100)
        ledger.add(3, bytes: 10)
        let isClaimed = ledger.claim(tag(2))
        #expect(isClaimed && !ledger.awaits(tag(2)) && ledger.awaits(tag(3)))
        #expect(ledger.held == .init(count: 3, bytes: 110))
        #expect(write([3], in: &ledger).count == 1)
        #expect(ledger.held == .init(count: 2, bytes: 100))
        ledger.begin(epoch: 2)
        #expect(ledger.held == .init() && !ledger.awaits(tag(1)))
    }
}
