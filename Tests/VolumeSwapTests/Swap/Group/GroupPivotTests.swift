import Foundation
import Testing

@testable import VolumeSwap

@Suite("The decisions of a group pivot")
struct GroupPivotTests {
    static let (one, two) = (TaskID("1"), TaskID("2"))

    static func group(_ first: GroupPivot.Member, _ second: GroupPivot.Member) -> GroupPivot {
        var group = GroupPivot([one, two])
        for (task, member) in [(one, first), (two, second)] { group.note(task, member) }
        return group
    }

    @Test(
        "Each stage goes on once all are as far",
        arguments: [
            (GroupPivot.Stage.gathering, GroupPivot.Member.inStep, GroupPivot.Member.copying, GroupPivot.Step.wait),
            (.gathering, .inStep, .inStep, .goOn),
            (.gathering, .inStep, .stored, .goOn),
            (.storing, .stored, .inStep, .wait),
            (.storing, .stored, .stored, .goOn),
            (.pivoting, .moved, .stored, .wait),
            (.pivoting, .moved, .moved, .goOn),
            (.pivoting, .moved, .stayed("refused"), .goOn),
        ])
    func stages(stage: GroupPivot.Stage, first: GroupPivot.Member, second: GroupPivot.Member, step: GroupPivot.Step) {
        #expect(Self.group(first, second).next(in: stage, isLate: false) == step)
        #expect(Self.group(second, first).next(in: stage, isLate: false) == step)
    }

    @Test("Before the pause one that fails or has moved ends it; from then on none does", arguments: GroupPivot.Stage.allCases)
    func ends(stage: GroupPivot.Stage) {
        for end in [GroupPivot.Member.stayed("aborted"), .moved] {
            let step = Self.group(.stored, end).next(in: stage, isLate: false)
            if stage == .pivoting {
                #expect(step == .wait)
            } else if case .giveUp(let reason) = step {
                #expect(reason.contains("task 2"))
            } else {
                Issue.record("\(step)")
            }
        }
    }

    @Test("Out of time it gives up before the pause, and resumes the guest in it")
    func late() {
        let late = Self.group(.inStep, .copying).next(in: .storing, isLate: true)
        #expect(late == .giveUp("task 1 was not ready for its pivot in time"))
        #expect(Self.group(.stored, .stored).next(in: .storing, isLate: true) == .goOn)
        #expect(Self.group(.moved, .stored).next(in: .pivoting, isLate: true) == .goOn)
    }

    @Test("A swap does not go back, and others are not noted")
    func order() {
        var group = Self.group(.stored, .moved)
        group.note(Self.one, .inStep)
        group.note(Self.two, .stayed("late"))
        group.note(TaskID("3"), .copying)
        #expect(group.members == [Self.one: .stored, Self.two: .moved])
        group.note(Self.one, .stayed("failed"))
        #expect(group.members[Self.one] == .stayed("failed"))
        var back = Self.group(.inStep, .inStep)
        back.note(Self.one, .copying)
        #expect(back.next(in: .gathering, isLate: false) == .wait)
    }

    @Test("Callers are told unless the old volumes are one point in time")
    func warnings() throws {
        #expect(Self.group(.moved, .moved).warning(afterSeconds: 10, wasResumed: false) == nil)
        #expect(Self.group(.moved, .moved).warning(afterSeconds: 10, wasResumed: true)?.contains("not one point in time") == true)
        let late = try #require(Self.group(.moved, .stored).warning(afterSeconds: 10, wasResumed: false))
        #expect(late.contains("after 10 s, before task 2") && late.contains("not one point in time"))
        let stayed = try #require(Self.group(.moved, .stayed("refused")).warning(afterSeconds: 10, wasResumed: false))
        #expect(stayed.contains("old volume of task 2"))
    }

    @Test("After a restart all are held again unless all had stored their pivot")
    func interrupted() {
        func task(_ id: String, _ phase: SwapPhase) -> UnfinishedTask {
            var record = Fixture.record(id)
            record.phase = phase
            record.plan = Fixture.plan()
            return .begun(record)
        }
        let mark = PivotGroupMark(members: [Self.one, Self.two], pauses: true)
        #expect(InterruptedGroups([task("1", .pivoting), task("2", .ready)]).isHeldAgain(mark))
        #expect(!InterruptedGroups([task("1", .pivoting), task("2", .pivoting), task("3", .ready)]).isHeldAgain(mark))
        #expect(!InterruptedGroups([task("1", .pivoting)]).isHeldAgain(mark), "the other has ended")
    }
}
